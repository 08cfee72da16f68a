select route, count(*) as flights, median(air_time) as median_air_time,
  quantile_cont(air_time, 0.1) as p10_air_time, quantile_cont(air_time, 0.9) as p90_air_time,
  stddev(air_time) as spread
from {{ ref('flights') }}
where air_time is not null
group by all
