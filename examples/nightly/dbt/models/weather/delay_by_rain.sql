select case when precip = 0 then '1: dry' when precip < 0.05 then '2: light' when precip < 0.2 then '3: moderate' else '4: heavy' end as rain,
  {{ punctuality_columns() }}
from {{ ref('flights_in_weather') }} where precip is not null group by all
