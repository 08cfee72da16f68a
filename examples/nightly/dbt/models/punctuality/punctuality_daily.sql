{{ punctuality_by(ref('flights'), ['flight_date']) }}
