-- Written by generate.py.
-- depends_on: {{ source('landing', 'ev_ewr') }}
{{ typed_flights(landed_flights('EV-EWR')) }}
