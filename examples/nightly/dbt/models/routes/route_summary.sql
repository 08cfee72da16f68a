select routes.origin, routes.dest, routes.distance, routes.carriers, routes.usual_air_time, totals.*
from ({{ punctuality_by(ref('flights'), ['route']) }}) as totals
join {{ ref('routes') }} as routes using (route)
