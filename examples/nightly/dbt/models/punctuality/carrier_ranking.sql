with ranked as (
  select carrier, month, flights, punctuality,
    rank() over (partition by month order by punctuality desc) as rank
  from {{ ref('punctuality_carrier_month') }}
  where flights >= 30
)
select *, lag(rank) over (partition by carrier order by month) as previous_rank from ranked
