select carrier, carriers.carrier_name,
  count(*) filter (flight_date > night - 28) as flights,
  count(*) filter (is_on_time and flight_date > night - 28) / nullif(count(*) filter (not is_cancelled and flight_date > night - 28), 0) as punctuality,
  count(*) filter (is_on_time and flight_date <= night - 28) / nullif(count(*) filter (not is_cancelled and flight_date <= night - 28), 0) as punctuality_before
from {{ ref('flights') }} as flights
join {{ ref('carriers') }} as carriers using (carrier)
cross join {{ ref('nights') }} as nights
where flight_date > night - 56
group by carrier, carriers.carrier_name
