select origin, observed_at_utc from {{ ref('weather_hours') }} group by all having count(*) > 1
