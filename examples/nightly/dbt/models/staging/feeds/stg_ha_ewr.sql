-- Written by generate.py.
-- depends_on: {{ source('landing', 'ha_ewr') }}
{{ typed_flights(landed_flights('HA-EWR')) }}
