-- Written by generate.py.
-- depends_on: {{ source('landing', 'as_ewr') }}
{{ typed_flights(landed_flights('AS-EWR')) }}
