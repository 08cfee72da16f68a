-- Written by generate.py.
-- depends_on: {{ source('landing', 'oo_ewr') }}
{{ typed_flights(landed_flights('OO-EWR')) }}
