select carrier, punctuality from {{ ref('punctuality_carrier') }} where punctuality not between 0 and 1
