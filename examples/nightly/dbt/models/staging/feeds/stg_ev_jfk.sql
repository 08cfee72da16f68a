-- Written by generate.py.
-- depends_on: {{ source('landing', 'ev_jfk') }}
{{ typed_flights(landed_flights('EV-JFK')) }}
