-- Written by generate.py.
{{ config(materialized='view') }}
select * from {{ ref('stg_fl_ewr') }}
union all
select * from {{ ref('stg_fl_jfk') }}
union all
select * from {{ ref('stg_fl_lga') }}
