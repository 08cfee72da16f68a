select least(dates.days_to_holiday, 7) as days_to_holiday, {{ punctuality_columns() }}
from {{ ref('flights') }} join {{ ref('dates') }} as dates using (flight_date)
group by least(dates.days_to_holiday, 7)
