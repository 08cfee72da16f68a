select flights.route, month(flights.flight_date) as month, avg(flights.distance / (flights.air_time / 60)) as mean_mph,
  avg(airports.lon) as longitude
from {{ ref('flights') }} as flights
join {{ ref('airports') }} as airports on airports.faa = flights.dest
where flights.air_time is not null
group by all
