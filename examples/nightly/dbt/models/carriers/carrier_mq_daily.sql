-- Written by generate.py.
{{ punctuality_by(ref('carrier_mq_flights'), ['carrier', 'flight_date']) }}
