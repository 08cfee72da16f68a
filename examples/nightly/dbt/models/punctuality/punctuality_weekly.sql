select dates.week, min(dates.flight_date) as week_starts, {{ punctuality_columns() }}
from {{ ref('flights') }} join {{ ref('dates') }} as dates using (flight_date)
group by dates.week
