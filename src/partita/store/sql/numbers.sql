-- Numbers for whoever watches the service. Each reads an index, or a table with a row for each thing that is declared.

-- name: count_runs_in_state
SELECT count(*) FROM runs WHERE state = ?;

-- name: count_backfills_in_state
SELECT count(*) FROM backfills WHERE state = ?;

-- name: count_open_gates
SELECT count(*) FROM gates WHERE of = ? AND answered_at IS NULL;

-- name: numbers_of_outbox
SELECT count(*), min(next_at) FROM outbox WHERE next_at IS NOT NULL AND next_at > ?;

-- name: numbers_of_schedules
SELECT count(*), coalesce(sum(paused), 0), count(CASE WHEN failures > 0 THEN 1 END), min(CASE WHEN paused = 0 THEN next_at END)
FROM schedules WHERE active = 1 AND namespace >= ?;

-- name: numbers_of_sensors
SELECT count(*), coalesce(sum(paused), 0), count(CASE WHEN failures > 0 THEN 1 END), coalesce(sum(looks), 0)
FROM sensors WHERE active = 1 AND namespace >= ?;
