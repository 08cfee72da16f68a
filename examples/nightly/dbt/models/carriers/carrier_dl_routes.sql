-- Written by generate.py.
{{ punctuality_by(ref('carrier_dl_flights'), ['carrier', 'route', 'dest']) }}
