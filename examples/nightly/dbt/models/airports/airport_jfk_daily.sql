-- Written by generate.py.
{{ punctuality_by(ref('airport_jfk_flights'), ['origin', 'flight_date']) }}
