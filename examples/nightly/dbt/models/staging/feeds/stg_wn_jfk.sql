-- Written by generate.py.
-- depends_on: {{ source('landing', 'wn_jfk') }}
{{ typed_flights(landed_flights('WN-JFK')) }}
