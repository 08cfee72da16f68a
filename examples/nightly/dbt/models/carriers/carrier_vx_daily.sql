-- Written by generate.py.
{{ punctuality_by(ref('carrier_vx_flights'), ['carrier', 'flight_date']) }}
