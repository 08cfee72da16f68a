-- Written by generate.py.
-- depends_on: {{ source('landing', 'fl_ewr') }}
{{ typed_flights(landed_flights('FL-EWR')) }}
