select flight_date, sum(total_usd) as total_usd, sum(passenger_usd) as passenger_usd,
  sum(cancellation_usd) as cancellation_usd, count(*) as flights
from {{ ref('flights_costed') }}
group by all
