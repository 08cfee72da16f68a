-- Written by generate.py.
-- depends_on: {{ source('landing', '9e_lga') }}
{{ typed_flights(landed_flights('9E-LGA')) }}
