{{ config(group='fleet', meta={'owner': 'fleet'}) }}
-- depends_on: {{ source('landing', 'planes') }}
select
  tailnum,
  year as built_year,
  type as plane_type,
  manufacturer,
  model as plane_model,
  engines,
  seats,
  engine as engine_type
from read_parquet('{{ landing() }}/planes/current.parquet')
