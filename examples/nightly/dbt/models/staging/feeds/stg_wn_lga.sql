-- Written by generate.py.
-- depends_on: {{ source('landing', 'wn_lga') }}
{{ typed_flights(landed_flights('WN-LGA')) }}
