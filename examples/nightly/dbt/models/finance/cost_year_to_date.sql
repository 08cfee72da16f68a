select flight_date, total_usd, sum(total_usd) over (order by flight_date) as year_to_date_usd,
  avg(total_usd) over (order by flight_date rows between 6 preceding and current row) as mean_7_days_usd
from {{ ref('cost_daily') }}
