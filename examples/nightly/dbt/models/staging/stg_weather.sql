{{ config(group='weather', meta={'owner': 'weather'}) }}
-- depends_on: {{ source('landing', 'weather') }}
select
  origin,
  weather_date,
  timezone('UTC', time_hour) as observed_at_utc,
  hour as observed_hour,
  temp,
  dewp as dew_point,
  humid as humidity,
  wind_dir,
  -- The register holds one hour of 1,048 mph.
  case when wind_speed < 150 then wind_speed end as wind_speed,
  wind_gust,
  precip,
  pressure,
  visib as visibility
from {{ landed_weather() }}
