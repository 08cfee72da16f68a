-- Written by generate.py.
-- depends_on: {{ source('landing', 'yv_ewr') }}
{{ typed_flights(landed_flights('YV-EWR')) }}
