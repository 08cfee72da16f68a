select carrier, regexp_replace(name, ' (Inc\.|Co\.|Corporation)$', '') as carrier_name from {{ ref('carrier_list') }}
