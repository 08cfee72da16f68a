-- Written by generate.py.
{{ punctuality_by(ref('carrier_mq_flights'), ['carrier', 'route', 'dest']) }}
