select flights.route, dates.season, count(*) as flights,
  count(*) filter (flights.is_cancelled) as cancelled,
  count(*) filter (flights.is_cancelled) / count(*) as cancelled_share
from {{ ref('flights') }} as flights join {{ ref('dates') }} as dates using (flight_date)
group by all
