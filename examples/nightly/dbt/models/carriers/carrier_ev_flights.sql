-- Written by generate.py.
{{ config(materialized='view') }}
select * from {{ ref('stg_ev_ewr') }}
union all
select * from {{ ref('stg_ev_jfk') }}
union all
select * from {{ ref('stg_ev_lga') }}
