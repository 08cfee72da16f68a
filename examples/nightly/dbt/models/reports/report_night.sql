with figures as (
  unpivot (select flight_date, flights::double as flights, cancelled::double as cancelled, punctuality,
    mean_dep_delay, mean_arr_delay from {{ ref('punctuality_daily') }})
  on flights, cancelled, punctuality, mean_dep_delay, mean_arr_delay into name figure value value
)
select figure, nights.night, max(value) filter (flight_date = night) as value,
  median(value) filter (flight_date < night) as usual,
  quantile_cont(value, 0.1) filter (flight_date < night) as p10,
  quantile_cont(value, 0.9) filter (flight_date < night) as p90
from figures cross join {{ ref('nights') }} as nights
where flight_date between night - 28 and night
group by all
