select floor(visibility)::int as visibility_from_miles, {{ punctuality_columns() }}
from {{ ref('flights_in_weather') }} where visibility is not null group by all
