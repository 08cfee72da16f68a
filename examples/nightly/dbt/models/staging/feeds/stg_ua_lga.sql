-- Written by generate.py.
-- depends_on: {{ source('landing', 'ua_lga') }}
{{ typed_flights(landed_flights('UA-LGA')) }}
