select airports.*, count(flights.dest) as arrivals, airports.faa in ('EWR', 'JFK', 'LGA') as is_origin
from {{ ref('stg_airports') }} as airports
left join {{ ref('flights') }} as flights on flights.dest = airports.faa
group by all
