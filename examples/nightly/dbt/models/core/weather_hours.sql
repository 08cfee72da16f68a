{{ config(group='weather', meta={'owner': 'weather'}) }}
select
  *,
  case
    when precip > 0 and temp <= 34 then 'snow or ice'
    when visibility < 3 then 'low visibility'
    when precip > 0 then 'rain'
    when wind_speed >= 20 then 'strong wind'
    else 'fair'
  end as conditions,
  coalesce((precip > 0 and temp <= 34) or visibility < 3 or wind_speed >= 20 or precip >= 0.1, false) as is_bad,
  case when wind_speed > 3 and wind_dir is not null
    then ['N', 'NE', 'E', 'SE', 'S', 'SW', 'W', 'NW'][1 + floor((wind_dir + 22.5) / 45)::int % 8] end as wind_sector
from {{ ref('stg_weather') }}
