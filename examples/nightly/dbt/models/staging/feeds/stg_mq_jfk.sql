-- Written by generate.py.
-- depends_on: {{ source('landing', 'mq_jfk') }}
{{ typed_flights(landed_flights('MQ-JFK')) }}
