-- Schedules and ticks.

-- name: declare_schedule
INSERT INTO schedules (namespace, name, project, pipeline, version, spec, effective_from, active, paused, reason, next_at,
                       tzdata)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (namespace, name) DO UPDATE
SET project = excluded.project, pipeline = excluded.pipeline, version = excluded.version, spec = excluded.spec,
    effective_from = excluded.effective_from, active = excluded.active, paused = excluded.paused,
    reason = excluded.reason, next_at = excluded.next_at, tzdata = excluded.tzdata;

-- A person's resume forgets the failures that paused it.
-- name: pause_schedule
UPDATE schedules SET paused = ?, automatic = ?, reason = ?, next_at = ?, failures = failures * CAST(? AS INTEGER)
WHERE namespace = ? AND name = ?;

-- An instant has one decision: a second one breaks the key, and the commit with it.
-- name: insert_tick
INSERT INTO ticks (namespace, schedule, instant, decision, reason, run, version, tzdata, decided_at, until, count, start_at,
                   since)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: move_schedule_after_tick
UPDATE schedules SET next_at = ?, last_at = ?, last_decision = ?, decided_at = ? WHERE namespace = ? AND name = ?;

-- name: move_schedule
UPDATE schedules SET next_at = ?, tzdata = ? WHERE namespace = ? AND name = ?;

-- name: set_schedule_failures
UPDATE schedules SET failures = ? WHERE namespace = ? AND name = ?;

-- name: schedule_columns
SELECT namespace, name, project, pipeline, version, spec, effective_from, active, paused, automatic, reason, next_at, last_at,
       last_decision, decided_at, failures, tzdata
FROM schedules;

-- name: schedule
{schedule_columns} WHERE namespace = ? AND name = ?;

-- name: schedules_after
{schedule_columns} WHERE (namespace, name) > (?, ?) ORDER BY namespace, name LIMIT ?;

-- name: tick_columns
SELECT namespace, schedule, instant, decision, reason, run, version, tzdata, decided_at, until, count, start_at, since
FROM ticks;

-- name: tick
{tick_columns} WHERE namespace = ? AND schedule = ? AND instant = ?;

-- name: ticks_of_schedule
{tick_columns} WHERE namespace = ? AND schedule = ? AND instant < ? ORDER BY instant DESC LIMIT ?;

-- How the last runs of a schedule have ended, newest first.
-- name: ends_of_schedule
SELECT r.state FROM ticks t JOIN runs r ON r.id = t.run
WHERE t.namespace = ? AND t.schedule = ? AND t.run <> '' AND r.finished_at IS NOT NULL
ORDER BY t.instant DESC LIMIT ?;

-- How long the last runs of a pipeline took that succeeded.
-- name: took_of_pipeline
SELECT finished_at - started_at FROM runs
WHERE pipeline = ? AND state = 'succeeded' ORDER BY no DESC LIMIT ?;

-- The audit. With a run that retention removes goes what its tick says of it: '' is no lost run.
-- name: ticks_without_their_run
SELECT t.namespace, t.schedule, t.instant, t.run FROM ticks t
WHERE t.decision = 'run' AND t.run <> '' AND t.decided_at > (SELECT max(decided_at) FROM ticks) - 86400
  AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = t.run);

-- name: ticks_in_ranges
SELECT a.namespace, a.schedule, a.instant, b.instant FROM ticks a
JOIN ticks b ON b.namespace = a.namespace AND b.schedule = a.schedule AND b.instant > a.instant AND b.instant <= a.until
WHERE a.until IS NOT NULL;

-- Runs whose origin names a tick ('sched:' + name + ':' + 20 characters of the instant). Retention removes ticks in the order
-- of their decisions: that of a run from before all that are left may be gone.
-- name: runs_of_ticks
SELECT r.namespace, r.origin, r.id, r.no FROM runs r
WHERE r.origin >= 'sched:' AND r.origin < 'sched;' AND r.no > ?
  AND r.created_at > (SELECT max(decided_at) FROM ticks) - 86400 AND r.created_at > (SELECT min(decided_at) FROM ticks)
ORDER BY r.no LIMIT ?;
