-- Written by generate.py.
-- depends_on: {{ source('landing', 'aa_lga') }}
{{ typed_flights(landed_flights('AA-LGA')) }}
