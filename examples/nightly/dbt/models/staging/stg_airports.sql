select faa, name as airport, lat, lon, alt as altitude_ft, tzone from {{ ref('airport_list') }}
