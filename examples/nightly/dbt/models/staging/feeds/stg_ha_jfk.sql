-- Written by generate.py.
-- depends_on: {{ source('landing', 'ha_jfk') }}
{{ typed_flights(landed_flights('HA-JFK')) }}
