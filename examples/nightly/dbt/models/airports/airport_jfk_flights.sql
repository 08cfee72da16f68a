-- Written by generate.py.
select * from {{ ref('stg_9e_jfk') }}
union all
select * from {{ ref('stg_aa_jfk') }}
union all
select * from {{ ref('stg_as_jfk') }}
union all
select * from {{ ref('stg_b6_jfk') }}
union all
select * from {{ ref('stg_dl_jfk') }}
union all
select * from {{ ref('stg_ev_jfk') }}
union all
select * from {{ ref('stg_f9_jfk') }}
union all
select * from {{ ref('stg_fl_jfk') }}
union all
select * from {{ ref('stg_ha_jfk') }}
union all
select * from {{ ref('stg_mq_jfk') }}
union all
select * from {{ ref('stg_oo_jfk') }}
union all
select * from {{ ref('stg_ua_jfk') }}
union all
select * from {{ ref('stg_us_jfk') }}
union all
select * from {{ ref('stg_vx_jfk') }}
union all
select * from {{ ref('stg_wn_jfk') }}
union all
select * from {{ ref('stg_yv_jfk') }}
