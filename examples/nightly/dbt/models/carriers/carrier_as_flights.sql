-- Written by generate.py.
{{ config(materialized='view') }}
select * from {{ ref('stg_as_ewr') }}
union all
select * from {{ ref('stg_as_jfk') }}
union all
select * from {{ ref('stg_as_lga') }}
