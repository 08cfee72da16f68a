{{ config(group='weather', meta={'owner': 'weather'}) }}
select
  flights.flight_key, flights.flight_date, flights.carrier, flights.origin, flights.dest, flights.route,
  flights.scheduled_hour, flights.dep_delay, flights.arr_delay, flights.is_cancelled, flights.is_diverted,
  flights.is_on_time, flights.is_late_departure,
  weather.temp, weather.humidity, weather.wind_dir, weather.wind_speed, weather.wind_sector, weather.precip,
  weather.pressure, weather.visibility,
  coalesce(weather.conditions, 'unknown') as conditions,
  coalesce(weather.is_bad, false) as is_bad_weather
from {{ ref('flights') }} as flights
left join {{ ref('weather_hours') }} as weather
  on weather.origin = flights.origin and weather.observed_at_utc = flights.scheduled_hour_utc
