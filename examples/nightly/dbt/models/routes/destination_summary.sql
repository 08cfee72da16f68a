select totals.*, airports.airport, airports.lat, airports.lon
from ({{ punctuality_by(ref('flights'), ['dest']) }}) as totals
left join {{ ref('airports') }} as airports on airports.faa = totals.dest
