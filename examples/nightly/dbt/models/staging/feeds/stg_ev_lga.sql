-- Written by generate.py.
-- depends_on: {{ source('landing', 'ev_lga') }}
{{ typed_flights(landed_flights('EV-LGA')) }}
