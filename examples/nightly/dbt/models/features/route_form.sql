select route, flight_date,
  avg(mean_arr_delay) over before as route_arr_delay_28_days,
  avg(cancelled_share) over before as route_cancelled_28_days,
  max(flight_date) over before as last_day_known
from {{ ref('route_daily') }}
window before as (partition by route order by flight_date
  range between interval 28 days preceding and interval 1 day preceding)
