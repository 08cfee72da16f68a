select carrier as who, flight_date from {{ ref('carrier_form') }} where last_day_known >= flight_date
union all
select route as who, flight_date from {{ ref('route_form') }} where last_day_known >= flight_date
