-- Written by generate.py.
select * from {{ ref('stg_9e_lga') }}
union all
select * from {{ ref('stg_aa_lga') }}
union all
select * from {{ ref('stg_as_lga') }}
union all
select * from {{ ref('stg_b6_lga') }}
union all
select * from {{ ref('stg_dl_lga') }}
union all
select * from {{ ref('stg_ev_lga') }}
union all
select * from {{ ref('stg_f9_lga') }}
union all
select * from {{ ref('stg_fl_lga') }}
union all
select * from {{ ref('stg_ha_lga') }}
union all
select * from {{ ref('stg_mq_lga') }}
union all
select * from {{ ref('stg_oo_lga') }}
union all
select * from {{ ref('stg_ua_lga') }}
union all
select * from {{ ref('stg_us_lga') }}
union all
select * from {{ ref('stg_vx_lga') }}
union all
select * from {{ ref('stg_wn_lga') }}
union all
select * from {{ ref('stg_yv_lga') }}
