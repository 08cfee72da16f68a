-- Written by generate.py.
select * from {{ ref('stg_9e_ewr') }}
union all
select * from {{ ref('stg_aa_ewr') }}
union all
select * from {{ ref('stg_as_ewr') }}
union all
select * from {{ ref('stg_b6_ewr') }}
union all
select * from {{ ref('stg_dl_ewr') }}
union all
select * from {{ ref('stg_ev_ewr') }}
union all
select * from {{ ref('stg_f9_ewr') }}
union all
select * from {{ ref('stg_fl_ewr') }}
union all
select * from {{ ref('stg_ha_ewr') }}
union all
select * from {{ ref('stg_mq_ewr') }}
union all
select * from {{ ref('stg_oo_ewr') }}
union all
select * from {{ ref('stg_ua_ewr') }}
union all
select * from {{ ref('stg_us_ewr') }}
union all
select * from {{ ref('stg_vx_ewr') }}
union all
select * from {{ ref('stg_wn_ewr') }}
union all
select * from {{ ref('stg_yv_ewr') }}
