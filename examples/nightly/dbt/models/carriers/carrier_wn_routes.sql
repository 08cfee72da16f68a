-- Written by generate.py.
{{ punctuality_by(ref('carrier_wn_flights'), ['carrier', 'route', 'dest']) }}
