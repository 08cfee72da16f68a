select (15 * floor(greatest(previous_arr_delay, -15) / 15))::int as previous_delay_from,
  count(*) as flights, avg(dep_delay) as mean_dep_delay,
  count(*) filter (dep_delay > 15) / count(*) as late_share
from {{ ref('rotations') }}
where previous_arr_delay between -60 and 240
group by all
