-- Written by generate.py.
-- depends_on: {{ source('landing', 'us_jfk') }}
{{ typed_flights(landed_flights('US-JFK')) }}
