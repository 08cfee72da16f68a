with usual as (
  select feed, median(flights) as usual_flights
  from (
    select feed, flight_date, count(*) as flights
    from {{ ref('flights') }}
    where dayofweek(flight_date) = (select dayofweek(night) from {{ ref('nights') }})
      and flight_date between (select night - 56 from {{ ref('nights') }}) and (select night - 1 from {{ ref('nights') }})
    group by all
  )
  group by all
)
select inventory.source as feed, inventory.day as night, inventory.is_landed, inventory.rows,
  coalesce(usual.usual_flights, 0) as usual_flights
from read_parquet('{{ landing() }}/inventory.parquet') as inventory
left join usual on usual.feed = inventory.source
where inventory.is_feed
-- depends_on: {{ source('landing', 'inventory') }}
