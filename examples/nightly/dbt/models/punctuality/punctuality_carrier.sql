select carriers.carrier_name, flights.carrier, {{ punctuality_columns() }}
from {{ ref('flights') }} as flights join {{ ref('carriers') }} as carriers using (carrier)
group by carriers.carrier_name, flights.carrier
