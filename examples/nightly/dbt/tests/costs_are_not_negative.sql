select flight_key, total_usd from {{ ref('flights_costed') }} where total_usd < 0 or total_usd is null
