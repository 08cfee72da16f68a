select route, carrier, count(*) as flights,
  count(*) / sum(count(*)) over (partition by route) as share,
  avg(arr_delay) as mean_arr_delay
from {{ ref('flights') }}
group by route, carrier
