-- Written by generate.py.
{{ punctuality_by(ref('airport_lga_flights'), ['origin', 'carrier']) }}
