-- Written by generate.py.
{{ punctuality_by(ref('airport_ewr_flights'), ['origin', 'flight_date']) }}
