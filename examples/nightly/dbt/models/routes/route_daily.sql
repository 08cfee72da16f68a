{{ punctuality_by(ref('flights'), ['route', 'flight_date']) }}
