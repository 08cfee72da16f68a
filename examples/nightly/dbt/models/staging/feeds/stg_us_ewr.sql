-- Written by generate.py.
-- depends_on: {{ source('landing', 'us_ewr') }}
{{ typed_flights(landed_flights('US-EWR')) }}
