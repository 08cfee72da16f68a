-- What the screens of pipelines show: their last runs, the steps of those, the runs of their days. Each is asked for one
-- pipeline and state (or run) and put together for many (`queries.together`).

-- name: last_run_columns
SELECT no, id, project, pipeline, partition, state, created_at, started_at, finished_at, paused, by, code FROM runs;

-- The newest in one state; the project is a filter on the way, for names are rarely shared.
-- name: last_runs
{last_run_columns} INDEXED BY runs_by_pipeline
WHERE pipeline = ? AND state = ? AND no < ? AND leaving = 0 AND project || '' = ? ORDER BY no DESC LIMIT ?;

-- When the newest in one state were asked for.
-- name: days_of_runs
SELECT state, created_at FROM runs INDEXED BY runs_by_pipeline
WHERE pipeline = ? AND state = ? AND no > ? AND leaving = 0 AND project || '' = ? ORDER BY no DESC LIMIT ?;

-- The steps of a run, their instances counted by state.
-- name: counted_steps
SELECT run, step, state, count(*) FROM steps WHERE run = ? GROUP BY run, step, state;

-- Those that run now have no row of a step yet.
-- name: counted_open_steps
SELECT run, step, state, count(*) FROM attempts INDEXED BY one_open
WHERE run = ? AND state IN ('dispatched', 'started') GROUP BY run, step, state;

