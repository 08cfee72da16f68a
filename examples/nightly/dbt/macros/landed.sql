{# The landed flights below a glob. A day's own partition wins over the history, which may hold that day too. #}
{% macro landed_flights(glob) -%}
(
  with files as (
    select
      * exclude (filename),
      make_date(year, month, day) as flight_date,
      parse_filename(filename) = 'history.parquet' as is_history
    from read_parquet('{{ landing() }}/{{ glob }}/*.parquet', filename = true)
  ),
  own_days as (select distinct carrier, origin, flight_date from files where not is_history)
  select files.* exclude (is_history)
  from files
  left join own_days using (carrier, origin, flight_date)
  where not is_history or own_days.carrier is null
)
{%- endmacro %}

{# The same for hourly weather. #}
{% macro landed_weather() -%}
(
  with files as (
    select
      * exclude (filename),
      make_date(year, month, day) as weather_date,
      parse_filename(filename) = 'history.parquet' as is_history
    from read_parquet('{{ landing() }}/weather/*.parquet', filename = true)
  ),
  own_days as (select distinct weather_date from files where not is_history)
  select files.* exclude (is_history)
  from files
  left join own_days using (weather_date)
  where not is_history or own_days.weather_date is null
)
{%- endmacro %}

{% macro landing() -%}
{{ env_var('NIGHTLY_LANDING', '../out/landing') }}
{%- endmacro %}
