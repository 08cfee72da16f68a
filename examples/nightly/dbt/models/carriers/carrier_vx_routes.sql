-- Written by generate.py.
{{ punctuality_by(ref('carrier_vx_flights'), ['carrier', 'route', 'dest']) }}
