{{ config(severity='warn') }}
select feed, night from {{ ref('feed_completeness') }} where not is_landed
