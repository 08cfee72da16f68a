select origin, date_trunc('month', flight_date)::date as month, sum(late_minutes * passengers) / 60 as passenger_hours
from {{ ref('flights_costed') }}
group by all
