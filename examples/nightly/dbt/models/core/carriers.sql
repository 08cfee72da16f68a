select
  carriers.carrier,
  carriers.carrier_name,
  count(flights.carrier) as flights,
  count(distinct flights.dest) as destinations,
  min(flights.flight_date) as first_flight,
  max(flights.flight_date) as last_flight
from {{ ref('stg_carriers') }} as carriers
left join {{ ref('flights') }} as flights using (carrier)
group by all
