-- Written by generate.py.
-- depends_on: {{ source('landing', 'b6_lga') }}
{{ typed_flights(landed_flights('B6-LGA')) }}
