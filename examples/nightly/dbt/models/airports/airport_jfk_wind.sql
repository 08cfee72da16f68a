-- Written by generate.py.
select
  flights.origin,
  weather.wind_sector,
  count(*) as flights,
  avg(weather.wind_speed) as mean_wind_speed,
  avg(flights.dep_delay) as mean_dep_delay,
  count(*) filter (flights.is_late_departure) / count(*) as late_share
from {{ ref('airport_jfk_flights') }} as flights
join {{ ref('weather_hours') }} as weather
  on weather.origin = flights.origin and weather.observed_at_utc = flights.scheduled_hour_utc
where weather.wind_sector is not null
group by all
