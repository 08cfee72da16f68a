select
  flights.flight_key, flights.flight_date, flights.carrier, flights.origin, flights.dest, flights.route,
  flights.scheduled_hour, flights.distance, dates.weekday, dates.month, dates.days_to_holiday,
  carrier_form.punctuality_7_days, carrier_form.dep_delay_7_days, carrier_form.cancelled_7_days,
  route_form.route_arr_delay_28_days, route_form.route_cancelled_28_days,
  load.departures_in_hour, load.departures_so_far,
  weather.temp, weather.humidity, weather.wind_speed, weather.wind_dir, weather.precip, weather.precip_3_hours,
  weather.visibility, weather.visibility_3_hours, weather.pressure, weather.pressure_change
from {{ ref('flights') }} as flights
join {{ ref('dates') }} as dates using (flight_date)
left join {{ ref('carrier_form') }} as carrier_form using (carrier, flight_date)
left join {{ ref('route_form') }} as route_form using (route, flight_date)
left join {{ ref('airport_load') }} as load using (origin, flight_date, scheduled_hour)
left join {{ ref('airport_weather') }} as weather
  on weather.origin = flights.origin and weather.observed_at_utc = flights.scheduled_hour_utc
