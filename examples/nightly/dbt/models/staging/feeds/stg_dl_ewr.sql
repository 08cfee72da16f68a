-- Written by generate.py.
-- depends_on: {{ source('landing', 'dl_ewr') }}
{{ typed_flights(landed_flights('DL-EWR')) }}
