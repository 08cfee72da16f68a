select flight_key, distance / (air_time / 60) as mph from {{ ref('flights') }} where air_time <= 0 or distance / (air_time / 60) > 750
