select weather.weather_date, max(weather.bad_hours) as bad_hours, sum(weather.precipitation) as precipitation,
  max(weather.peak_wind) as peak_wind, any_value(daily.punctuality) as punctuality,
  any_value(daily.cancelled) as cancelled, any_value(daily.mean_dep_delay) as mean_dep_delay
from {{ ref('weather_days') }} as weather
join {{ ref('punctuality_daily') }} as daily on daily.flight_date = weather.weather_date
group by all
having max(weather.bad_hours) >= 3
