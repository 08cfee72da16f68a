{# Delivered flights with names, types and the few facts that everybody derives from them. #}
{% macro typed_flights(delivered) %}
select
  concat_ws('-', carrier, flight, origin, strftime(flight_date, '%Y%m%d')) as flight_key,
  carrier || '-' || origin as feed,
  flight_date,
  carrier,
  flight as flight_number,
  tailnum,
  origin,
  dest,
  origin || '-' || dest as route,
  flight_date + to_minutes(60 * hour + minute) as scheduled_departure,
  hour as scheduled_hour,
  timezone('UTC', time_hour) as scheduled_hour_utc,
  dep_time,
  sched_arr_time,
  dep_delay,
  arr_delay,
  air_time,
  distance,
  dep_time is null as is_cancelled,
  dep_time is not null and arr_delay is null as is_diverted,
  arr_delay is not null and arr_delay < 15 as is_on_time,
  coalesce(dep_delay > 15, false) as is_late_departure,
  dep_delay - arr_delay as minutes_gained
from {{ delivered }}
{% endmacro %}

{# What punctuality means here, said once: the share of flights that arrive less than 15 minutes late. #}
{% macro punctuality_columns() %}
  count(*) as flights,
  count(*) filter (is_cancelled) as cancelled,
  count(*) filter (is_diverted) as diverted,
  count(*) filter (is_on_time) as on_time,
  count(*) filter (is_on_time) / nullif(count(*) filter (not is_cancelled), 0) as punctuality,
  count(*) filter (is_cancelled) / count(*) as cancelled_share,
  avg(dep_delay) as mean_dep_delay,
  avg(arr_delay) as mean_arr_delay,
  median(arr_delay) as median_arr_delay,
  quantile_cont(arr_delay, 0.9) as p90_arr_delay,
  coalesce(sum(greatest(arr_delay, 0)), 0) as delay_minutes
{% endmacro %}

{# Punctuality of `flights`, by the columns given. #}
{% macro punctuality_by(flights, columns) %}
select
  {% for column in columns %}{{ column }},
  {% endfor %}
  {{ punctuality_columns() }}
from {{ flights }}
group by all
{% endmacro %}
