select days.tailnum, mode(days.carrier) as carrier, count(*) as days_flown, sum(days.departures) as departures,
  any_value(planes.manufacturer) as manufacturer, any_value(planes.plane_model) as plane_model,
  any_value(planes.seats) as seats, any_value(planes.age_years) as age_years
from {{ ref('plane_days') }} as days
left join {{ ref('registered_planes') }} as planes using (tailnum)
group by all
