-- Written by generate.py.
-- depends_on: {{ source('landing', 'fl_jfk') }}
{{ typed_flights(landed_flights('FL-JFK')) }}
