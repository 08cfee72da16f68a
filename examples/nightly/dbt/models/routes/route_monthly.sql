{{ punctuality_by(ref('flights'), ['route', "date_trunc('month', flight_date)::date as month"]) }}
