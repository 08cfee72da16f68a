{{ config(group='fleet', meta={'owner': 'fleet'}) }}
select
  flight_key, flight_date, carrier, origin, route, tailnum, scheduled_departure, dep_delay, arr_delay,
  row_number() over plane_day as rotation,
  lag(dep_delay) over plane_day as previous_dep_delay,
  lag(arr_delay) over plane_day as previous_arr_delay,
  date_diff('minute', lag(scheduled_departure) over plane_day, scheduled_departure) as minutes_since_previous
from {{ ref('flights') }}
where tailnum is not null and not is_cancelled
window plane_day as (partition by tailnum, flight_date order by scheduled_departure, flight_key)
