select (5 * floor(wind_speed / 5))::int as wind_from_mph, {{ punctuality_columns() }}
from {{ ref('flights_in_weather') }} where wind_speed is not null group by all
