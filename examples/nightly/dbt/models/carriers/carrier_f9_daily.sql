-- Written by generate.py.
{{ punctuality_by(ref('carrier_f9_flights'), ['carrier', 'flight_date']) }}
