select typed.*
from ({{ typed_flights(landed_flights('*-*')) }}) as typed
cross join {{ ref('nights') }} as nights
where typed.flight_date <= nights.night
order by typed.flight_date, typed.scheduled_departure
