-- Written by generate.py.
{{ punctuality_by(ref('carrier_dl_flights'), ['carrier', 'flight_date']) }}
