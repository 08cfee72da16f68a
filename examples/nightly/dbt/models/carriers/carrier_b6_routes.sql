-- Written by generate.py.
{{ punctuality_by(ref('carrier_b6_flights'), ['carrier', 'route', 'dest']) }}
