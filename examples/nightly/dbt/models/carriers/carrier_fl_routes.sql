-- Written by generate.py.
{{ punctuality_by(ref('carrier_fl_flights'), ['carrier', 'route', 'dest']) }}
