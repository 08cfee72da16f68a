-- Written by generate.py.
-- depends_on: {{ source('landing', 'us_lga') }}
{{ typed_flights(landed_flights('US-LGA')) }}
