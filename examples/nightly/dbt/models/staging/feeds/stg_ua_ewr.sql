-- Written by generate.py.
-- depends_on: {{ source('landing', 'ua_ewr') }}
{{ typed_flights(landed_flights('UA-EWR')) }}
