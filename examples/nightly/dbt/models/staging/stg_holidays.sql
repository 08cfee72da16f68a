select holiday_date::date as holiday_date, holiday from {{ ref('holiday_list') }}
