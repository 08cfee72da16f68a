-- Written by generate.py.
-- depends_on: {{ source('landing', 'mq_ewr') }}
{{ typed_flights(landed_flights('MQ-EWR')) }}
