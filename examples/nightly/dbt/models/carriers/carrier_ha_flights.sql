-- Written by generate.py.
{{ config(materialized='view') }}
select * from {{ ref('stg_ha_ewr') }}
union all
select * from {{ ref('stg_ha_jfk') }}
union all
select * from {{ ref('stg_ha_lga') }}
