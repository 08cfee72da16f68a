select carrier, flight_date,
  avg(punctuality) over before as punctuality_7_days,
  avg(mean_dep_delay) over before as dep_delay_7_days,
  avg(cancelled_share) over before as cancelled_7_days,
  max(flight_date) over before as last_day_known
from {{ ref('punctuality_carrier_daily') }}
window before as (partition by carrier order by flight_date
  range between interval 7 days preceding and interval 1 day preceding)
