select date_trunc('month', flight_date)::date as month, is_bad_weather, count(*) as flights,
  count(*) filter (is_cancelled) as cancelled, count(*) filter (is_cancelled) / count(*) as cancelled_share
from {{ ref('flights_in_weather') }}
group by all
