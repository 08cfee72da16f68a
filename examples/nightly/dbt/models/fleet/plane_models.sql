select plane_model, any_value(manufacturer) as manufacturer, count(*) as planes, sum(departures) as departures,
  median(seats) as seats, avg(age_years) as mean_age
from {{ ref('plane_usage') }}
where plane_model is not null
group by all
