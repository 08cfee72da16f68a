-- Written by generate.py.
-- depends_on: {{ source('landing', 'aa_jfk') }}
{{ typed_flights(landed_flights('AA-JFK')) }}
