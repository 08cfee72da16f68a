select (5 * floor(pressure / 5))::int as pressure_from_hpa, {{ punctuality_columns() }}
from {{ ref('flights_in_weather') }} where pressure is not null group by all
