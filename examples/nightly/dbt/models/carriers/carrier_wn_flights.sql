-- Written by generate.py.
{{ config(materialized='view') }}
select * from {{ ref('stg_wn_ewr') }}
union all
select * from {{ ref('stg_wn_jfk') }}
union all
select * from {{ ref('stg_wn_lga') }}
