with airports as (
  select sum(flights) as flights from (
    select sum(flights) as flights from {{ ref('airport_ewr_daily') }} where flight_date <= (select night from {{ ref('nights') }})
    union all
    select sum(flights) as flights from {{ ref('airport_jfk_daily') }} where flight_date <= (select night from {{ ref('nights') }})
    union all
    select sum(flights) as flights from {{ ref('airport_lga_daily') }} where flight_date <= (select night from {{ ref('nights') }})
  )
)
select airports.flights as by_airport, facts.flights as in_all
from airports cross join (select count(*) as flights from {{ ref('flights') }}) as facts
where airports.flights <> facts.flights
