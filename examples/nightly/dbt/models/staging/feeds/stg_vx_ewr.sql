-- Written by generate.py.
-- depends_on: {{ source('landing', 'vx_ewr') }}
{{ typed_flights(landed_flights('VX-EWR')) }}
