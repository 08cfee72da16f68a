-- Written by generate.py.
{{ config(materialized='view') }}
select * from {{ ref('stg_dl_ewr') }}
union all
select * from {{ ref('stg_dl_jfk') }}
union all
select * from {{ ref('stg_dl_lga') }}
