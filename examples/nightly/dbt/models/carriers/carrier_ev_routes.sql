-- Written by generate.py.
{{ punctuality_by(ref('carrier_ev_flights'), ['carrier', 'route', 'dest']) }}
