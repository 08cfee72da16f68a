select origin, flight_date, scheduled_hour, count(*) as departures_in_hour,
  sum(count(*)) over (partition by origin, flight_date order by scheduled_hour) as departures_so_far
from {{ ref('flights') }}
group by origin, flight_date, scheduled_hour
