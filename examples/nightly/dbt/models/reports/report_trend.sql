select daily.*, avg(punctuality) over seven as punctuality_7_days, avg(mean_dep_delay) over seven as dep_delay_7_days
from {{ ref('punctuality_daily') }} as daily
cross join {{ ref('nights') }} as nights
where daily.flight_date > nights.night - 90
window seven as (order by daily.flight_date rows between 6 preceding and current row)
