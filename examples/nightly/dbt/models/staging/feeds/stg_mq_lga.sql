-- Written by generate.py.
-- depends_on: {{ source('landing', 'mq_lga') }}
{{ typed_flights(landed_flights('MQ-LGA')) }}
