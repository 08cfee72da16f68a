{{ punctuality_by(ref('flights_in_weather'), ['origin', 'conditions']) }}
