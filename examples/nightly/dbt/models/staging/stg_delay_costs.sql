{{ config(group='finance', meta={'owner': 'finance'}) }}
select
  sum(usd) filter (per in ('late minute', 'ground minute')) as ground_minute_usd,
  sum(usd) filter (per in ('late minute', 'airborne minute')) as airborne_minute_usd,
  sum(usd) filter (per = 'passenger minute') as passenger_minute_usd,
  sum(usd) filter (per = 'cancelled flight') as cancellation_usd
from {{ ref('delay_cost_rates') }}
