select origin, observed_at_utc, temp, humidity, wind_speed, wind_dir, precip, pressure, visibility, is_bad,
  sum(precip) over recent as precip_3_hours, min(visibility) over recent as visibility_3_hours,
  pressure - first_value(pressure) over recent as pressure_change
from {{ ref('weather_hours') }}
window recent as (partition by origin order by observed_at_utc
  range between interval 3 hours preceding and current row)
