select route from {{ ref('flights') }} group by route having max(distance) - min(distance) > 50
