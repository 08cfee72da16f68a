-- Written by generate.py.
-- depends_on: {{ source('landing', 'as_jfk') }}
{{ typed_flights(landed_flights('AS-JFK')) }}
