-- Written by generate.py.
-- depends_on: {{ source('landing', 'yv_jfk') }}
{{ typed_flights(landed_flights('YV-JFK')) }}
