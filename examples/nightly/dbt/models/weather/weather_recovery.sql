with runs as (
  select origin, observed_at_utc, is_bad,
    max(observed_at_utc) filter (is_bad) over (partition by origin order by observed_at_utc) as last_bad
  from {{ ref('weather_hours') }}
)
select runs.origin, date_diff('hour', runs.last_bad, runs.observed_at_utc) as hours_after,
  count(*) as flights, avg(flights.dep_delay) as mean_dep_delay
from runs
join {{ ref('flights') }} as flights
  on flights.origin = runs.origin and flights.scheduled_hour_utc = runs.observed_at_utc
where date_diff('hour', runs.last_bad, runs.observed_at_utc) <= 12
group by all
