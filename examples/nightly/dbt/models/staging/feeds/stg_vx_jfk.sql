-- Written by generate.py.
-- depends_on: {{ source('landing', 'vx_jfk') }}
{{ typed_flights(landed_flights('VX-JFK')) }}
