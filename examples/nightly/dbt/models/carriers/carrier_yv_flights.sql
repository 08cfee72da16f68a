-- Written by generate.py.
{{ config(materialized='view') }}
select * from {{ ref('stg_yv_ewr') }}
union all
select * from {{ ref('stg_yv_jfk') }}
union all
select * from {{ ref('stg_yv_lga') }}
