-- Written by generate.py.
{{ config(materialized='view') }}
select * from {{ ref('stg_vx_ewr') }}
union all
select * from {{ ref('stg_vx_jfk') }}
union all
select * from {{ ref('stg_vx_lga') }}
