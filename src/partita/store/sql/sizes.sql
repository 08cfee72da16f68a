-- What steps have used lately.

-- Attempts that have something beside their end; the newest runs of a pipeline first.
-- name: measured_attempts
SELECT step, began_at, ended_at, detail
FROM (SELECT no AS recent FROM runs INDEXED BY runs_by_pipeline
      WHERE pipeline = ? AND state = ? ORDER BY no DESC LIMIT ?) AS newest
JOIN attempts ON run = recent
WHERE state = 'succeeded' AND cached_from = '' AND detail IS NOT NULL
LIMIT ?;
