-- Written by generate.py.
-- depends_on: {{ source('landing', 'b6_jfk') }}
{{ typed_flights(landed_flights('B6-JFK')) }}
