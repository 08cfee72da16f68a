-- Written by generate.py.
{{ punctuality_by(ref('carrier_yv_flights'), ['carrier', 'flight_date']) }}
