select tailnum, flight_date, any_value(carrier) as carrier, max(rotation) as departures,
  sum(arr_delay) as arr_delay_minutes, max(dep_delay) as worst_dep_delay
from {{ ref('rotations') }}
group by all
