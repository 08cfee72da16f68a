{{ config(group='weather', meta={'owner': 'weather'}) }}
select
  origin,
  weather_date,
  avg(temp) as mean_temp,
  min(visibility) as worst_visibility,
  max(wind_speed) as peak_wind,
  sum(precip) as precipitation,
  count(*) filter (is_bad) as bad_hours,
  count(*) as hours
from {{ ref('weather_hours') }}
group by all
