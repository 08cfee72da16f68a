select route, count(*) as flights, sum(total_usd) as total_usd, sum(total_usd) / count(*) as usd_a_flight
from {{ ref('flights_costed') }}
group by all
