select daily.*, max(weather.bad_hours) as bad_hours, sum(weather.precipitation) as precipitation
from {{ ref('punctuality_daily') }} as daily
left join {{ ref('weather_days') }} as weather on weather.weather_date = daily.flight_date
group by all
order by daily.mean_dep_delay desc
limit 20
