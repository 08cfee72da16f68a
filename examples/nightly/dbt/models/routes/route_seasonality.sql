select route, month, flights, flights / avg(flights) over (partition by route) as against_even
from {{ ref('route_monthly') }}
