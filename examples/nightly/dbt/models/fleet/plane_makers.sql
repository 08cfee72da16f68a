select
  case when manufacturer like 'AIRBUS%' then 'Airbus' when manufacturer like 'MCDONNELL%' then 'McDonnell Douglas'
    when manufacturer in ('BOEING', 'EMBRAER', 'BOMBARDIER INC') then split_part(upper(manufacturer[1]) || lower(manufacturer[2:]), ' ', 1)
    else 'Others' end as maker,
  count(*) as planes, sum(departures) as departures, sum(departures * seats) as seats_offered, avg(age_years) as mean_age
from {{ ref('plane_usage') }}
where manufacturer is not null
group by all
