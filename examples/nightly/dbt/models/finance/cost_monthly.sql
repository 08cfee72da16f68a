unpivot (
  select date_trunc('month', flight_date)::date as month, sum(ground_usd) as ground, sum(airborne_usd) as airborne,
    sum(passenger_usd) as passengers, sum(cancellation_usd) as cancellations
  from {{ ref('flights_costed') }} group by all
) on ground, airborne, passengers, cancellations into name kind value usd
