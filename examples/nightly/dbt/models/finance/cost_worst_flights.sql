select flight_key, flight_date, carrier, route, late_minutes, total_usd, cause
from {{ ref('flights_costed') }}
order by total_usd desc, flight_key
limit 100
