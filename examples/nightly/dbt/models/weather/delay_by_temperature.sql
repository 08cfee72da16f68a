select (10 * floor(temp / 10))::int as temp_from_f, {{ punctuality_columns() }}
from {{ ref('flights_in_weather') }} where temp is not null group by all
