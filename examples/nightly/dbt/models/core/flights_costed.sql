{{ config(group='finance', meta={'owner': 'finance'}) }}
with minutes as (
  select
    flights.flight_key, flights.flight_date, flights.carrier, flights.origin, flights.route, flights.dest,
    flights.is_cancelled,
    coalesce(greatest(flights.dep_delay, 0), 0) as ground_minutes,
    coalesce(greatest(flights.arr_delay - greatest(flights.dep_delay, 0), 0), 0) as airborne_minutes,
    coalesce(greatest(flights.arr_delay, 0), 0) as late_minutes,
    coalesce(planes.seats, 150) * 0.8 as passengers,
    weather.is_bad_weather,
    coalesce(rotations.previous_arr_delay > 15, false) as is_knock_on
  from {{ ref('flights') }} as flights
  left join {{ ref('registered_planes') }} as planes using (tailnum)
  left join {{ ref('flights_in_weather') }} as weather using (flight_key)
  left join {{ ref('rotations') }} as rotations using (flight_key)
)
select
  flight_key, flight_date, carrier, origin, route, dest, is_cancelled, late_minutes, passengers,
  ground_minutes * ground_minute_usd as ground_usd,
  airborne_minutes * airborne_minute_usd as airborne_usd,
  late_minutes * passengers * passenger_minute_usd as passenger_usd,
  if(is_cancelled, cancellation_usd, 0) as cancellation_usd,
  ground_usd + airborne_usd + passenger_usd + if(is_cancelled, cancellation_usd, 0) as total_usd,
  case
    when ground_usd + airborne_usd + passenger_usd = 0 and not is_cancelled then 'none'
    when is_knock_on then 'knock-on'
    when is_bad_weather then 'weather'
    else 'operations'
  end as cause
from minutes
cross join {{ ref('stg_delay_costs') }}
