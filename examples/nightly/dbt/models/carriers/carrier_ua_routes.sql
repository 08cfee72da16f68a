-- Written by generate.py.
{{ punctuality_by(ref('carrier_ua_flights'), ['carrier', 'route', 'dest']) }}
