select dates.weekday, dates.weekday_name, {{ punctuality_columns() }}
from {{ ref('flights') }} join {{ ref('dates') }} as dates using (flight_date)
group by all
