-- Written by generate.py.
{{ punctuality_by(ref('carrier_ha_flights'), ['carrier', 'route', 'dest']) }}
