-- Written by generate.py.
{{ punctuality_by(ref('carrier_us_flights'), ['carrier', 'route', 'dest']) }}
