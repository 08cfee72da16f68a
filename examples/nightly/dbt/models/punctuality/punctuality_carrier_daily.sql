{{ punctuality_by(ref('flights'), ['carrier', 'flight_date']) }}
