{{ config(materialized='view') }}
select features.*, flights.dep_delay, flights.arr_delay
from {{ ref('flight_features') }} as features join {{ ref('flights') }} as flights using (flight_key)
where flights.arr_delay is not null
