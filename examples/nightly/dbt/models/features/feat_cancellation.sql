{{ config(materialized='view') }}
select features.*, flights.is_cancelled
from {{ ref('flight_features') }} as features join {{ ref('flights') }} as flights using (flight_key)
