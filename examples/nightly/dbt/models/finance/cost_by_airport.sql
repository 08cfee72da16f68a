select origin, date_trunc('month', flight_date)::date as month, sum(total_usd) as total_usd, count(*) as flights
from {{ ref('flights_costed') }}
group by all
