{{ punctuality_by(ref('flights'), ['carrier', "date_trunc('month', flight_date)::date as month"]) }}
