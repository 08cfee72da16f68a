-- Written by generate.py.
-- depends_on: {{ source('landing', 'oo_lga') }}
{{ typed_flights(landed_flights('OO-LGA')) }}
