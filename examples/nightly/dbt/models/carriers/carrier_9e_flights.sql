-- Written by generate.py.
{{ config(materialized='view') }}
select * from {{ ref('stg_9e_ewr') }}
union all
select * from {{ ref('stg_9e_jfk') }}
union all
select * from {{ ref('stg_9e_lga') }}
