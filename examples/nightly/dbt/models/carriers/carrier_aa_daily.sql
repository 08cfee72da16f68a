-- Written by generate.py.
{{ punctuality_by(ref('carrier_aa_flights'), ['carrier', 'flight_date']) }}
