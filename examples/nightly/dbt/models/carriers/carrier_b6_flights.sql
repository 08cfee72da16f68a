-- Written by generate.py.
{{ config(materialized='view') }}
select * from {{ ref('stg_b6_ewr') }}
union all
select * from {{ ref('stg_b6_jfk') }}
union all
select * from {{ ref('stg_b6_lga') }}
