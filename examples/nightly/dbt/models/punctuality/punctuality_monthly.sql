{{ punctuality_by(ref('flights'), ["date_trunc('month', flight_date)::date as month"]) }}
