select
  max(day) as night,
  count(*) filter (is_landed) as sources_landed,
  count(*) as sources_expected,
  sum(rows) as rows_landed
from read_parquet('{{ landing() }}/inventory.parquet')
-- depends_on: {{ source('landing', 'inventory') }}
