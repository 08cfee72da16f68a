{{ config(materialized='view') }}
select features.*, planes.seats, planes.engines, planes.age_years, flights.air_time, routes.usual_air_time
from {{ ref('flight_features') }} as features
join {{ ref('flights') }} as flights using (flight_key)
join {{ ref('routes') }} as routes on routes.route = flights.route
left join {{ ref('registered_planes') }} as planes using (tailnum)
where flights.air_time is not null
