select route, sum(share) as share from {{ ref('route_carriers') }} group by route having abs(sum(share) - 1) > 1e-9
