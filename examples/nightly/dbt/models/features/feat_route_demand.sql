with days as (
  select routes.route, dates.flight_date, dates.weekday, dates.month, dates.days_to_holiday, routes.distance,
    routes.carriers, coalesce(daily.flights, 0) as flights
  from {{ ref('routes') }} as routes
  cross join {{ ref('dates') }} as dates
  left join {{ ref('route_daily') }} as daily using (route, flight_date)
  where routes.flights >= 100
)
select *,
  lag(flights) over route_days as flights_the_day_before,
  lag(flights, 7) over route_days as flights_7_days_ago,
  lag(flights, 14) over route_days as flights_14_days_ago,
  lag(days_to_holiday, 7) over route_days as days_to_holiday_7_days_ago,
  avg(flights) over (route_days rows between 28 preceding and 7 preceding) as mean_of_weeks_before
from days
window route_days as (partition by route order by flight_date)
qualify flights_14_days_ago is not null
