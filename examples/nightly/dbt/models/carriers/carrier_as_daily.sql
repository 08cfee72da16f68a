-- Written by generate.py.
{{ punctuality_by(ref('carrier_as_flights'), ['carrier', 'flight_date']) }}
