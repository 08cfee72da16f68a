select origin, wind_sector, count(*) as flights, avg(wind_speed) as mean_wind_speed, avg(dep_delay) as mean_dep_delay,
  count(*) filter (is_late_departure) / count(*) as late_share
from {{ ref('flights_in_weather') }}
where wind_sector is not null
group by all
