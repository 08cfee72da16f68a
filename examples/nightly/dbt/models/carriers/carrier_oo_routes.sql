-- Written by generate.py.
{{ punctuality_by(ref('carrier_oo_flights'), ['carrier', 'route', 'dest']) }}
