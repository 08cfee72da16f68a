select flights.origin, flights.flight_date, count(*) as flights, sum(coalesce(planes.seats, 150)) as seats
from {{ ref('flights') }} as flights left join {{ ref('registered_planes') }} as planes using (tailnum)
where not flights.is_cancelled
group by all
