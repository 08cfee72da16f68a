-- Written by generate.py.
-- depends_on: {{ source('landing', 'yv_lga') }}
{{ typed_flights(landed_flights('YV-LGA')) }}
