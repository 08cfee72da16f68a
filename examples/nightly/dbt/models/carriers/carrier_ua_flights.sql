-- Written by generate.py.
{{ config(materialized='view') }}
select * from {{ ref('stg_ua_ewr') }}
union all
select * from {{ ref('stg_ua_jfk') }}
union all
select * from {{ ref('stg_ua_lga') }}
