-- Written by generate.py.
-- depends_on: {{ source('landing', '9e_jfk') }}
{{ typed_flights(landed_flights('9E-JFK')) }}
