with days as (
  select unnest(generate_series(date '2013-01-01', nights.night, interval 1 day))::date as flight_date
  from {{ ref('nights') }} as nights
)
select
  days.flight_date,
  isodow(days.flight_date) as weekday,
  dayname(days.flight_date) as weekday_name,
  week(days.flight_date) as week,
  month(days.flight_date) as month,
  case when month(days.flight_date) in (12, 1, 2) then 'winter' when month(days.flight_date) <= 5 then 'spring'
    when month(days.flight_date) <= 8 then 'summer' else 'autumn' end as season,
  max(holidays.holiday) filter (holidays.holiday_date = days.flight_date) as holiday,
  min(abs(holidays.holiday_date - days.flight_date)) as days_to_holiday
from days
cross join {{ ref('stg_holidays') }} as holidays
group by days.flight_date
