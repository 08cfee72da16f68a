{{ config(group='fleet', meta={'owner': 'fleet'}) }}
select planes.*, year(nights.night) - planes.built_year as age_years
from {{ ref('stg_planes') }} as planes
cross join {{ ref('nights') }} as nights
