-- Written by generate.py.
-- depends_on: {{ source('landing', 'dl_lga') }}
{{ typed_flights(landed_flights('DL-LGA')) }}
