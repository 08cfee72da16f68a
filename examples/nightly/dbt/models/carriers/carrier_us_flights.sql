-- Written by generate.py.
{{ config(materialized='view') }}
select * from {{ ref('stg_us_ewr') }}
union all
select * from {{ ref('stg_us_jfk') }}
union all
select * from {{ ref('stg_us_lga') }}
