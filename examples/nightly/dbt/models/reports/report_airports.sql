select airports.origin, airports.scheduled_hour, count(*) as flights,
  count(*) filter (is_cancelled) as cancelled, avg(dep_delay) as mean_dep_delay
from (
  select * from {{ ref('airport_ewr_flights') }} union all
  select * from {{ ref('airport_jfk_flights') }} union all
  select * from {{ ref('airport_lga_flights') }}
) as airports
where airports.flight_date = (select night from {{ ref('nights') }})
group by all
