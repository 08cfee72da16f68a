select daily.flights as by_day, facts.flights as in_all
from (select sum(flights) as flights from {{ ref('punctuality_daily') }}) as daily
cross join (select count(*) as flights from {{ ref('flights') }}) as facts
where daily.flights <> facts.flights
