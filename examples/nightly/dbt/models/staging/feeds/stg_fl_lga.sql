-- Written by generate.py.
-- depends_on: {{ source('landing', 'fl_lga') }}
{{ typed_flights(landed_flights('FL-LGA')) }}
