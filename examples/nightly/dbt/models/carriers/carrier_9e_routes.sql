-- Written by generate.py.
{{ punctuality_by(ref('carrier_9e_flights'), ['carrier', 'route', 'dest']) }}
