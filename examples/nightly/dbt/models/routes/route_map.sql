select summary.route, summary.origin, summary.dest, summary.flights, summary.punctuality, summary.mean_arr_delay,
  origins.lat as origin_lat, origins.lon as origin_lon, dests.lat as dest_lat, dests.lon as dest_lon
from {{ ref('route_summary') }} as summary
join {{ ref('airports') }} as origins on origins.faa = summary.origin
join {{ ref('airports') }} as dests on dests.faa = summary.dest
