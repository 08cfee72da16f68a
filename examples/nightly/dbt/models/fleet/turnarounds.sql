select carrier, count(*) as turnarounds, median(minutes_since_previous) as median_minutes,
  quantile_cont(minutes_since_previous, 0.1) as p10_minutes
from {{ ref('rotations') }}
where rotation > 1
group by all
