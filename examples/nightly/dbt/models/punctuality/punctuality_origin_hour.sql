{{ punctuality_by(ref('flights'), ['origin', 'isodow(flight_date) as weekday', 'scheduled_hour']) }}
