-- Keeping house: what retention looks at and removes; health.

-- ==== runs ====

-- Runs that ended longest ago, with how many rows hang on each, and whether it may go: the newest successes of each
-- pipeline stay (usual durations come from them), and so does what a backfill has not yet heard the end of.
-- name: oldest_runs
SELECT r.no, r.finished_at,
       1 + (SELECT count(*) FROM steps WHERE run = r.no) + (SELECT count(*) FROM attempts WHERE run = r.no)
         + (SELECT count(*) FROM journal WHERE run = r.no),
       (r.state <> 'succeeded' OR EXISTS (SELECT 1 FROM runs AS n WHERE n.pipeline = r.pipeline
                                          AND n.state = 'succeeded' AND n.no > r.no ORDER BY n.no LIMIT 1 OFFSET ?))
       AND NOT EXISTS (SELECT 1 FROM parts WHERE parts.run = r.id AND parts.run <> '' AND parts.state = 'running')
FROM (SELECT * FROM runs WHERE finished_at IS NOT NULL AND (finished_at, no) > (?, ?) AND finished_at < ?
      ORDER BY finished_at, no LIMIT ?) AS r
ORDER BY r.finished_at, r.no;

-- name: leaving_runs
SELECT no FROM runs WHERE leaving = 1 ORDER BY no LIMIT ?;

-- name: mark_leaving
UPDATE runs SET leaving = 1 WHERE no = ?;

-- The origin of a run that a tick has made ('sched:' ...).
-- name: tick_of_run
SELECT namespace, origin, id FROM runs WHERE no = ? AND origin >= 'sched:' AND origin < 'sched;';

-- name: forget_run_of_tick
UPDATE ticks SET run = '' WHERE namespace = ? AND schedule = ? AND instant = ? AND run = ?;

-- name: remove_votes
DELETE FROM votes WHERE run = ?;

-- name: remove_gates
DELETE FROM gates WHERE run = ?;

-- name: remove_tags
DELETE FROM run_tags WHERE run = ?;

-- The newest result of a test stays: downstreams are held back by it.
-- name: remove_checks
DELETE FROM checks WHERE run = ? AND EXISTS (SELECT 1 FROM checks AS n WHERE n.asset = checks.asset
    AND n.partition = checks.partition AND n.name = checks.name AND n.no > checks.no);

-- The newest materialization stays: staleness is decided from it.
-- name: remove_materializations
DELETE FROM materializations WHERE run = ? AND NOT EXISTS (SELECT 1 FROM latest WHERE latest.asset = materializations.asset
    AND latest.partition = materializations.partition AND latest.materialization = materializations.no);

-- name: remove_steps
DELETE FROM steps WHERE run = ?;

-- name: remove_attempts
DELETE FROM attempts WHERE run = ?;

-- name: remove_journal
DELETE FROM journal WHERE run = ?;

-- name: remove_run
DELETE FROM runs WHERE no = ?;

-- Of a large run, so many at a time.
-- name: remove_some_steps
DELETE FROM steps WHERE (run, step, idx) IN (SELECT run, step, idx FROM steps WHERE run = ? LIMIT ?) RETURNING 1;

-- name: remove_some_attempts
DELETE FROM attempts WHERE (run, step, idx, no) IN (SELECT run, step, idx, no FROM attempts WHERE run = ? LIMIT ?) RETURNING 1;

-- name: remove_some_journal
DELETE FROM journal WHERE no IN (SELECT no FROM journal WHERE run = ? LIMIT ?) RETURNING 1;

-- ==== all else: a page of the oldest, with when they were and whether they may go; then one at a time ====

-- name: oldest_events
SELECT no, at, run IS NULL FROM journal WHERE no > ? ORDER BY no LIMIT ?;

-- name: remove_event
DELETE FROM journal WHERE no = ?;

-- name: oldest_ticks
SELECT decided_at, namespace, schedule, instant FROM ticks WHERE decided_at < ? ORDER BY decided_at LIMIT ?;

-- name: remove_tick
DELETE FROM ticks WHERE namespace = ? AND schedule = ? AND instant = ?;

-- name: oldest_run_keys
SELECT at, namespace, sensor, key FROM run_keys WHERE at < ? ORDER BY at LIMIT ?;

-- name: remove_run_key
DELETE FROM run_keys WHERE namespace = ? AND sensor = ? AND key = ?;

-- name: oldest_evaluations
SELECT no, at, 1 FROM evaluations WHERE no > ? ORDER BY no LIMIT ?;

-- name: remove_evaluation
DELETE FROM evaluations WHERE no = ?;

-- name: oldest_deliveries
SELECT no, at, taken FROM deliveries WHERE no > ? ORDER BY no LIMIT ?;

-- name: remove_delivery
DELETE FROM deliveries WHERE no = ?;

-- name: oldest_automated
SELECT no, at, 1 FROM automated WHERE no > ? ORDER BY no LIMIT ?;

-- name: remove_automated
DELETE FROM automated WHERE no = ?;

-- name: oldest_messages
SELECT no, at, next_at IS NULL FROM outbox WHERE no > ? ORDER BY no LIMIT ?;

-- name: remove_message
DELETE FROM outbox WHERE no = ?;

-- name: oldest_removals
SELECT no, at, 1 FROM removals WHERE no > ? ORDER BY no LIMIT ?;

-- name: remove_removal
DELETE FROM removals WHERE no = ?;

-- Those of runs that are there go with their runs.
-- name: oldest_materializations
SELECT m.no, m.at, NOT EXISTS (SELECT 1 FROM runs WHERE runs.no = m.run)
       AND NOT EXISTS (SELECT 1 FROM latest WHERE latest.asset = m.asset AND latest.partition = m.partition
                       AND latest.materialization = m.no)
FROM materializations AS m WHERE m.no > ? ORDER BY m.no LIMIT ?;

-- name: remove_materialization
DELETE FROM materializations WHERE no = ?;

-- name: oldest_checks
SELECT c.no, c.at, NOT EXISTS (SELECT 1 FROM runs WHERE runs.no = c.run)
       AND EXISTS (SELECT 1 FROM checks AS n WHERE n.asset = c.asset AND n.partition = c.partition AND n.name = c.name
                   AND n.no > c.no)
FROM checks AS c WHERE c.no > ? ORDER BY c.no LIMIT ?;

-- name: remove_check
DELETE FROM checks WHERE no = ?;

-- name: oldest_backfills
SELECT no, coalesce(finished_at, created_at), state <> 'running' FROM backfills WHERE no > ? ORDER BY no LIMIT ?;

-- name: remove_some_parts
DELETE FROM parts WHERE (backfill, stage, part) IN (SELECT backfill, stage, part FROM parts WHERE backfill = ? LIMIT ?)
RETURNING 1;

-- name: remove_backfill
DELETE FROM backfills WHERE no = ?;

-- Versions that no run is of, that no project serves, and that are not among the newest of their project.
-- name: oldest_versions
SELECT v.project, v.code FROM versions AS v
WHERE v.at < ? AND NOT EXISTS (SELECT 1 FROM projects WHERE projects.project = v.project AND projects.code = v.code)
  AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.project = v.project AND runs.state = 'running' AND runs.code = v.code)
  AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.project = v.project AND runs.state = 'queued' AND runs.code = v.code)
  AND (SELECT count(*) FROM versions AS n WHERE n.project = v.project AND n.at > v.at) >= ? LIMIT ?;

-- name: remove_version
DELETE FROM versions WHERE project = ? AND code = ?;

-- Graphs that no run is of; those of what is being made now are not older than their runs.
-- name: some_graphs
SELECT g.version, NOT EXISTS (SELECT 1 FROM runs WHERE runs.graph = g.version) FROM graphs AS g WHERE g.version > ?
ORDER BY g.version LIMIT ?;

-- name: remove_graph
DELETE FROM graphs WHERE version = ? AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.graph = graphs.version);

-- The newest entry of the audit that is to go.
-- name: audit_until
SELECT no, hash FROM audit WHERE no = (SELECT max(no) FROM (SELECT no, at FROM audit ORDER BY no LIMIT ?) AS oldest WHERE at < ?);

-- ==== counting ====

-- name: runs_ended_before
SELECT count(*) FROM runs WHERE finished_at IS NOT NULL AND finished_at < ?;

-- name: ticks_before
SELECT count(*) FROM ticks WHERE decided_at < ?;

-- name: ended_run
SELECT finished_at FROM runs WHERE no = ?;

-- name: newest_run
SELECT coalesce(max(no), 0) FROM runs;

-- ==== what values are kept for ====

-- name: values_of_steps
SELECT run, step, idx, value FROM steps
WHERE (run, step, idx) > (?, ?, ?) AND EXISTS (SELECT 1 FROM runs WHERE runs.no = steps.run)
ORDER BY run, step, idx LIMIT ?;

-- name: values_of_materializations
SELECT no, value FROM materializations WHERE no > ? ORDER BY no LIMIT ?;

-- ==== facts ====

-- name: insert_removal
INSERT INTO removals (at, what, count, bytes, older_than, reason) VALUES (?, ?, ?, ?, ?, ?);

-- name: removals
SELECT no, at, what, count, bytes, older_than, reason FROM removals WHERE no < ? ORDER BY no DESC LIMIT ?;

-- name: put_problem
INSERT INTO health (part, since, problem) VALUES (?, ?, ?) ON CONFLICT (part) DO UPDATE SET problem = excluded.problem;

-- name: remove_problem
DELETE FROM health WHERE part = ?;

-- name: health
SELECT part, since, problem FROM health WHERE part > '' ORDER BY part;

-- ==== for the audit ====

-- name: lost_latest
SELECT asset, partition FROM latest
WHERE NOT EXISTS (SELECT 1 FROM materializations AS m WHERE m.no = latest.materialization);
