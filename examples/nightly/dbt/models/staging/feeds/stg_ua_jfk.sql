-- Written by generate.py.
-- depends_on: {{ source('landing', 'ua_jfk') }}
{{ typed_flights(landed_flights('UA-JFK')) }}
