-- Written by generate.py.
-- depends_on: {{ source('landing', 'vx_lga') }}
{{ typed_flights(landed_flights('VX-LGA')) }}
