-- Written by generate.py.
-- depends_on: {{ source('landing', 'aa_ewr') }}
{{ typed_flights(landed_flights('AA-EWR')) }}
