select carrier, count(*) as planes, avg(age_years) as mean_age, median(seats) as median_seats,
  sum(departures) / count(*) as departures_a_plane, count(*) filter (manufacturer is null) / count(*) as unregistered_share
from {{ ref('plane_usage') }}
group by all
