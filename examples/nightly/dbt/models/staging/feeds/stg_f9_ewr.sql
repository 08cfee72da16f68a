-- Written by generate.py.
-- depends_on: {{ source('landing', 'f9_ewr') }}
{{ typed_flights(landed_flights('F9-EWR')) }}
