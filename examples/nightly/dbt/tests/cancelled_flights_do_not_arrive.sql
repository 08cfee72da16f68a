select flight_key from {{ ref('flights') }} where is_cancelled and (arr_delay is not null or air_time is not null)
