-- Written by generate.py.
-- depends_on: {{ source('landing', 'ha_lga') }}
{{ typed_flights(landed_flights('HA-LGA')) }}
