-- Written by generate.py.
-- depends_on: {{ source('landing', 'oo_jfk') }}
{{ typed_flights(landed_flights('OO-JFK')) }}
