-- Written by generate.py.
-- depends_on: {{ source('landing', 'as_lga') }}
{{ typed_flights(landed_flights('AS-LGA')) }}
