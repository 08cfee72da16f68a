select flights.carrier, count(distinct flights.tailnum) as planes, count(*) as flights
from {{ ref('flights') }} as flights
left join {{ ref('registered_planes') }} as planes using (tailnum)
where flights.tailnum is not null and planes.tailnum is null
group by all
