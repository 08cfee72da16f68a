-- Written by generate.py.
-- depends_on: {{ source('landing', 'wn_ewr') }}
{{ typed_flights(landed_flights('WN-EWR')) }}
