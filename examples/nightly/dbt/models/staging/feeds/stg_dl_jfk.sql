-- Written by generate.py.
-- depends_on: {{ source('landing', 'dl_jfk') }}
{{ typed_flights(landed_flights('DL-JFK')) }}
