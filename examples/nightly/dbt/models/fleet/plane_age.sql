select planes.age_years, {{ punctuality_columns() }}
from {{ ref('flights') }} as flights join {{ ref('registered_planes') }} as planes using (tailnum)
where planes.age_years is not null
group by all
