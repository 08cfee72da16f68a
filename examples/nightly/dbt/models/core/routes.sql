select
  route,
  origin,
  dest,
  min(distance) as distance,
  count(*) as flights,
  count(distinct carrier) as carriers,
  count(distinct flight_date) as days_flown,
  median(air_time) as usual_air_time
from {{ ref('flights') }}
group by all
