-- Written by generate.py.
{{ config(materialized='view') }}
select * from {{ ref('stg_f9_ewr') }}
union all
select * from {{ ref('stg_f9_jfk') }}
union all
select * from {{ ref('stg_f9_lga') }}
