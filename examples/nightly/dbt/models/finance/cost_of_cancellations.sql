select costed.carrier, dates.season, count(*) as cancelled, sum(costed.cancellation_usd) as usd
from {{ ref('flights_costed') }} as costed join {{ ref('dates') }} as dates using (flight_date)
where costed.is_cancelled
group by all
