-- Written by generate.py.
{{ config(materialized='view') }}
select * from {{ ref('stg_mq_ewr') }}
union all
select * from {{ ref('stg_mq_jfk') }}
union all
select * from {{ ref('stg_mq_lga') }}
