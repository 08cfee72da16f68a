{{ config(materialized='view') }}
select features.*, rotations.rotation, rotations.previous_dep_delay, rotations.minutes_since_previous,
  flights.is_late_departure
from {{ ref('flight_features') }} as features
join {{ ref('flights') }} as flights using (flight_key)
left join {{ ref('rotations') }} as rotations using (flight_key)
where not flights.is_cancelled
