-- Written by generate.py.
{{ config(materialized='view') }}
select * from {{ ref('stg_oo_ewr') }}
union all
select * from {{ ref('stg_oo_jfk') }}
union all
select * from {{ ref('stg_oo_lga') }}
