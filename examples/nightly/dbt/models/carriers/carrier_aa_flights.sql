-- Written by generate.py.
{{ config(materialized='view') }}
select * from {{ ref('stg_aa_ewr') }}
union all
select * from {{ ref('stg_aa_jfk') }}
union all
select * from {{ ref('stg_aa_lga') }}
