select route, count(*) as carriers, sum(flights) as flights, sum(share * share) as concentration,
  arg_max(carrier, share) as largest_carrier, max(share) as largest_share
from {{ ref('route_carriers') }}
group by all
