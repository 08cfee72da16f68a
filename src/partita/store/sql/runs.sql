-- Runs and what belongs to them: all SQL of reading and writing, by name. `?` is a parameter; conditions that name no state are primary keys.
-- What creates the tables is in schema.sql.

-- ==== writing: one statement for each thing that an event does to a row (rows.py says which) ====

-- name: insert_run
INSERT INTO runs (id, namespace, project, pipeline, graph, code, origin, state, created_at, by, params, partition,
                  priority, rerun_of, selection, fail_fast, timeout_s, step_limit, namespace_limit, tags, keys,
                  partitions)
VALUES (?, ?, ?, ?, ?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
RETURNING no;

-- name: insert_tag
INSERT INTO run_tags (tag, run) VALUES (?, ?) ON CONFLICT (tag, run) DO NOTHING;

-- name: insert_journal
INSERT INTO journal (run, seq, at, events) VALUES (?, ?, ?, ?);

-- What happened beside the runs.
-- name: insert_facts
INSERT INTO journal (at, events) VALUES (?, ?);

-- name: start_run
UPDATE runs SET state = 'running', started_at = ? WHERE no = ? AND state = 'queued';

-- Terminal is final: a second end changes nothing.
-- name: end_run
UPDATE runs SET state = ?, finished_at = ?, reason = ? WHERE no = ? AND state IN ('queued', 'running');

-- name: request_cancel
UPDATE runs SET cancel_requested = 1 WHERE no = ? AND state IN ('queued', 'running');

-- name: set_paused
UPDATE runs SET paused = ? WHERE no = ? AND state IN ('queued', 'running');

-- name: dispatch_attempt
INSERT INTO attempts (run, step, idx, no, state, epoch, worker, external, started_at)
VALUES (?, ?, ?, ?, 'dispatched', ?, ?, ?, ?)
ON CONFLICT (run, step, idx, no) DO NOTHING;

-- A second start of one attempt changes nothing; a second open attempt of the instance breaks index one_open.
-- name: start_attempt
INSERT INTO attempts (run, step, idx, no, state, epoch, worker, external, started_at)
VALUES (?, ?, ?, ?, 'started', ?, ?, '', ?)
ON CONFLICT (run, step, idx, no) DO UPDATE
SET state = 'started', started_at = excluded.started_at, worker = excluded.worker
WHERE attempts.state = 'dispatched' AND attempts.epoch = excluded.epoch;

-- An outcome of user code counts if the attempt has started, is open, and is of this epoch.
-- name: end_started_attempt
UPDATE attempts SET state = ?, finished_at = ?, began_at = ?, ended_at = ?, cached_from = ?, detail = ?
WHERE run = ? AND step = ? AND idx = ? AND no = ? AND epoch = ? AND state = 'started';

-- Lost, cancelled and refused may also end one that never started.
-- name: end_open_attempt
UPDATE attempts SET state = ?, finished_at = ?, began_at = ?, ended_at = ?, cached_from = ?, detail = ?
WHERE run = ? AND step = ? AND idx = ? AND no = ? AND epoch = ? AND state IN ('dispatched', 'started');

-- Reads its attempt, so that an outcome that was not accepted makes no step succeed.
-- name: step_succeeded
INSERT INTO steps (run, step, idx, state, attempt, not_before, finished_at, reason, because, value, choice, again,
                   reused_from)
SELECT run, step, idx, 'succeeded', no, 0.0, finished_at, '', NULL, ?, ?, ?, ''
FROM attempts WHERE run = ? AND step = ? AND idx = ? AND no = ? AND epoch = ? AND state = 'succeeded'
ON CONFLICT (run, step, idx) DO UPDATE
SET state = excluded.state, attempt = excluded.attempt, not_before = 0.0, finished_at = excluded.finished_at,
    reason = '', because = NULL, value = excluded.value, choice = excluded.choice, again = excluded.again
WHERE steps.state IN ('waiting', 'ready', 'running');

-- name: step_retried
INSERT INTO steps (run, step, idx, state, attempt, not_before, finished_at, reason, because, value, choice, again,
                   reused_from)
VALUES (?, ?, ?, 'ready', ?, ?, NULL, ?, NULL, NULL, NULL, NULL, '')
ON CONFLICT (run, step, idx) DO UPDATE
SET state = 'ready', attempt = excluded.attempt, not_before = excluded.not_before, reason = excluded.reason
WHERE steps.state IN ('waiting', 'ready', 'running');

-- name: step_ended
INSERT INTO steps (run, step, idx, state, attempt, not_before, finished_at, reason, because, value, choice, again,
                   reused_from)
SELECT ?, ?, ?, ?, coalesce(max(no), 0), 0.0, ?, ?, ?, NULL, NULL, NULL, ''
FROM attempts WHERE run = ? AND step = ? AND idx = ?
ON CONFLICT (run, step, idx) DO UPDATE
SET state = excluded.state, attempt = excluded.attempt, not_before = 0.0, finished_at = excluded.finished_at,
    reason = excluded.reason, because = excluded.because
WHERE steps.state IN ('waiting', 'ready', 'running');

-- name: step_reused
INSERT INTO steps (run, step, idx, state, attempt, not_before, finished_at, reason, because, value, choice, again,
                   reused_from)
VALUES (?, ?, ?, ?, 0, 0.0, ?, '', NULL, ?, ?, ?, ?)
ON CONFLICT (run, step, idx) DO UPDATE
SET state = excluded.state, attempt = 0, not_before = 0.0, finished_at = excluded.finished_at, reason = '',
    because = NULL, value = excluded.value, choice = excluded.choice, again = excluded.again,
    reused_from = excluded.reused_from
WHERE steps.state IN ('waiting', 'ready', 'running');

-- Reads its attempt: only an accepted success publishes.
-- name: insert_materialization
INSERT INTO materializations (asset, partition, run, step, idx, attempt, at, data_version, code_version, metadata,
                              value, began_at, ended_at)
SELECT ?, ?, run, step, idx, no, ?, ?, ?, ?, ?, ?, ?
FROM attempts WHERE run = ? AND step = ? AND idx = ? AND no = ? AND state = 'succeeded'
ON CONFLICT (run, step, idx, attempt, asset, partition) DO NOTHING;

-- name: point_latest
INSERT INTO latest (asset, partition, materialization, changed, changed_at)
SELECT asset, partition, no, no, at FROM materializations
WHERE run = ? AND step = ? AND idx = ? AND attempt = ? AND asset = ? AND partition = ?
{newer_is_latest};

-- The same data version again is no change.
-- name: newer_is_latest
ON CONFLICT (asset, partition) DO UPDATE
SET materialization = excluded.materialization,
    (changed, changed_at) = (SELECT CASE WHEN n.data_version = coalesce(o.data_version, '') AND n.data_version <> ''
                                         THEN latest.changed ELSE excluded.changed END,
                                    CASE WHEN n.data_version = coalesce(o.data_version, '') AND n.data_version <> ''
                                         THEN latest.changed_at ELSE excluded.changed_at END
                             FROM materializations AS n
                             LEFT JOIN materializations AS o ON o.no = latest.materialization
                             WHERE n.no = excluded.materialization)
WHERE excluded.materialization > latest.materialization;

-- name: put_verdict
INSERT INTO verdicts (asset, name, partition, passed, severity, message, at) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (asset, partition, name) DO UPDATE
SET passed = excluded.passed, severity = excluded.severity, at = excluded.at, message = excluded.message;

-- name: insert_check
INSERT INTO checks (run, step, idx, attempt, at, asset, name, partition, passed, severity, message, metadata)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: put_graph
INSERT INTO graphs (version, data) VALUES (?, ?) ON CONFLICT (version) DO NOTHING;

-- name: put_manifest
INSERT INTO manifests (project, data) VALUES (?, ?) ON CONFLICT (project) DO UPDATE SET data = excluded.data;

-- name: put_lease
INSERT INTO leases (resource, holder, epoch, until, since) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (resource) DO UPDATE
SET holder = excluded.holder, epoch = excluded.epoch, until = excluded.until, since = excluded.since;

-- Held by nobody, so that there is a row to lock.
-- name: make_lease
INSERT INTO leases (resource, holder, epoch, until) VALUES (?, '', 0, 0.0) ON CONFLICT (resource) DO NOTHING;

-- ==== what a commit asks before it writes ====

-- name: lease
SELECT resource, holder, epoch, until, since FROM leases WHERE resource = ?;

-- All schedulers there are, and were: that of all others first.
-- name: leases
SELECT resource, holder, epoch, until, since FROM leases WHERE resource > ? ORDER BY resource LIMIT ?;

-- name: remove_lease
DELETE FROM leases WHERE resource = ?;

-- name: run_of_origin
SELECT id FROM runs WHERE namespace = ? AND origin = ?;

-- The number of a run, and of its last journal row.
-- name: end_of_journal
SELECT no, (SELECT coalesce(max(seq), 0) FROM journal WHERE run = runs.no) FROM runs WHERE id = ?;

-- ==== runs ====

-- name: run_columns
SELECT no, id, namespace, project, pipeline, graph, code, origin, state, created_at, started_at, finished_at, by,
       params, partition, priority, rerun_of, selection, fail_fast, timeout_s, step_limit, namespace_limit, tags,
       paused, cancel_requested, reason, (SELECT coalesce(max(seq), 0) FROM journal WHERE run = runs.no),
       keys, partitions
FROM runs;

-- name: run_by_id
{run_columns} WHERE id = ?;

-- name: run_by_no
{run_columns} WHERE no = ?;

-- Two at most: more than one means that the beginning is ambiguous.
-- name: runs_by_beginning
{run_columns} WHERE id >= ? AND id < ? LIMIT 2;

-- The newest repetitions of a run.
-- name: runs_again
{run_columns} WHERE rerun_of = ? AND rerun_of <> '' AND leaving = 0 ORDER BY no DESC LIMIT ?;

-- name: open_runs
{run_columns} WHERE state IN ('queued', 'running') ORDER BY no;

-- The lists are made of one arm per state, each of which reads `limit` rows of an index in order: with IN instead,
-- all runs of these states would be read and sorted. See `listing.py` and `queries.runs`.

-- What else was asked for (NULL: whatever it is), as filters on the way: none of it may lead.
-- name: runs_rest
AND runs.no > ? AND leaving = 0 AND pipeline || '' = coalesce(?, pipeline) AND namespace || '' = coalesce(?, namespace)
AND project || '' = coalesce(?, project) AND by || '' = coalesce(?, by)
AND created_at + 0.0 >= ? AND created_at + 0.0 < ?
AND (CAST(? AS TEXT) IS NULL OR EXISTS (SELECT 1 FROM run_tags WHERE tag = ? AND run = runs.no));

-- SQLite counts an equal state and a range of numbers as more than an equal person, so it is told; PostgreSQL is not.
-- name: runs_arm
{run_columns} WHERE state = ? AND no < ? {runs_rest} ORDER BY no DESC LIMIT ?;

-- name: runs_arm_of_pipeline
{run_columns} INDEXED BY runs_by_pipeline WHERE pipeline = ? AND state = ? AND no < ? {runs_rest} ORDER BY no DESC LIMIT ?;

-- name: runs_arm_of_project
{run_columns} INDEXED BY runs_by_project WHERE project = ? AND state = ? AND no < ? {runs_rest} ORDER BY no DESC LIMIT ?;

-- name: runs_arm_of_namespace
{run_columns} INDEXED BY runs_by_namespace WHERE namespace = ? AND state = ? AND no < ? {runs_rest} ORDER BY no DESC LIMIT ?;

-- name: runs_arm_of_by
{run_columns} INDEXED BY runs_by_person WHERE by = ? AND state = ? AND no < ? {runs_rest} ORDER BY no DESC LIMIT ?;

-- The tag's runs in order, each looked up; one arm for all states (`?` names them with commas around).
-- name: runs_arm_of_tag
{run_columns} JOIN run_tags AS t ON t.run = runs.no
WHERE t.tag = ? AND instr(?, ',' || state || ',') > 0 AND t.run < ? {runs_rest} ORDER BY t.run DESC LIMIT ?;

-- A partition has few runs, so they may be sorted.
-- name: runs_arm_of_partition
{run_columns} WHERE partition = ? AND partition <> '' AND state || '' = ? AND no < ? {runs_rest} ORDER BY no DESC LIMIT ?;

-- name: runs_arm_of_pipeline_and_partition
{run_columns} WHERE partition = ? AND partition <> '' AND pipeline = ? AND state || '' = ? AND no < ? {runs_rest}
ORDER BY no DESC LIMIT ?;

-- Runs without a partition are the common case: a filter on the way.
-- name: runs_arm_unpartitioned
{run_columns} WHERE partition || '' = '' AND state = ? AND no < ? {runs_rest} ORDER BY no DESC LIMIT ?;

-- name: runs_arm_of_pipeline_unpartitioned
{run_columns} INDEXED BY runs_by_pipeline WHERE partition || '' = '' AND pipeline = ? AND state = ? AND no < ? {runs_rest} ORDER BY no DESC LIMIT ?;

-- Between which numbers the runs of a time are. Numbers grow with time but for a clock that was set back: so the thousand
-- nearest are asked, and not the nearest.
-- name: first_run_since
SELECT min(no) FROM (SELECT no FROM runs WHERE created_at >= ? ORDER BY created_at LIMIT 1000) AS nearest;

-- name: last_run_until
SELECT max(no) FROM (SELECT no FROM runs WHERE created_at < ? ORDER BY created_at DESC LIMIT 1000) AS nearest;

-- ==== steps, attempts, journal of a run ====

-- Nine places for states, filled up with NULL.
-- name: steps_of_run
SELECT step, idx, state, attempt, not_before, finished_at, reason, because, value, choice, again, reused_from
FROM steps WHERE run = (SELECT no FROM runs WHERE id = ?) AND state IN (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: steps_of_step
SELECT step, idx, state, attempt, not_before, finished_at, reason, because, value, choice, again, reused_from
FROM steps WHERE run = (SELECT no FROM runs WHERE id = ?) AND state IN (?, ?, ?, ?, ?, ?, ?, ?, ?) AND step = ?;

-- name: attempt_columns
SELECT step, idx, no, state, epoch, worker, external, started_at, finished_at, began_at, ended_at, cached_from, detail
FROM attempts;

-- name: attempts_of_run
{attempt_columns} WHERE run = (SELECT no FROM runs WHERE id = ?);

-- name: attempts_of_step
{attempt_columns} WHERE run = (SELECT no FROM runs WHERE id = ?) AND step = ?;

-- name: attempts_of_index
{attempt_columns} WHERE run = (SELECT no FROM runs WHERE id = ?) AND step = ? AND idx = ?;

-- name: attempts_of_any_step_at_index
{attempt_columns} WHERE run = (SELECT no FROM runs WHERE id = ?) AND idx = ?;

-- SQLite would walk through all attempts of the run; PostgreSQL knows better and is not told.
-- name: open_attempts
{attempt_columns} INDEXED BY one_open WHERE run = (SELECT no FROM runs WHERE id = ?) AND state IN ('dispatched', 'started');

-- name: journal
SELECT seq, at, events FROM journal WHERE run = (SELECT no FROM runs WHERE id = ?) AND seq > ? ORDER BY seq LIMIT ?;

-- All that happened, in the order of commit. One that is taken later has a higher number. Rows of a run that is gone may wait
-- for their month to be dropped.
-- name: stream
SELECT j.no, coalesce(r.id, ''), coalesce(j.seq, 0), j.at, j.events
FROM journal AS j LEFT JOIN runs AS r ON r.no = j.run
WHERE j.no > ? AND (j.run IS NULL OR r.no IS NOT NULL) ORDER BY j.no LIMIT ?;

-- name: end_of_stream
SELECT coalesce(max(no), 0) FROM journal;

-- ==== graphs, manifests, assets, checks ====

-- name: graph
SELECT data FROM graphs WHERE version = ?;

-- name: manifest
SELECT data FROM manifests WHERE project = ?;

-- name: manifests
SELECT data FROM manifests ORDER BY project;

-- name: materialization_columns
SELECT m.asset, m.partition, coalesce(r.id, ''), m.step, m.idx, m.attempt, m.at, m.data_version, m.code_version, m.metadata, m.value,
       m.began_at, m.ended_at
FROM materializations AS m LEFT JOIN runs AS r ON r.no = m.run;

-- name: latest_materialization
{materialization_columns}
WHERE m.no = (SELECT materialization FROM latest WHERE asset = ? AND partition = ?);

-- name: materializations_of_asset
{materialization_columns} WHERE m.asset = ? ORDER BY m.no DESC LIMIT ?;

-- name: materializations_of_partition
{materialization_columns} WHERE m.asset = ? AND m.partition = ? ORDER BY m.no DESC LIMIT ?;

-- name: materialized_in
{materialization_columns} WHERE m.run = (SELECT no FROM runs WHERE id = ?) ORDER BY m.no;

-- name: check_columns
SELECT coalesce(r.id, ''), c.step, c.idx, c.attempt, c.at, c.asset, c.name, c.passed, c.severity, c.message, c.partition, c.metadata
FROM checks AS c LEFT JOIN runs AS r ON r.no = c.run;

-- name: checks
{check_columns} ORDER BY c.no DESC LIMIT ?;

-- name: checks_of_run
{check_columns} WHERE c.run = (SELECT no FROM runs WHERE id = ?) ORDER BY c.no DESC LIMIT ?;

-- name: checks_of_asset
{check_columns} WHERE c.asset = ? ORDER BY c.no DESC LIMIT ?;

-- name: checks_of_run_and_asset
{check_columns} WHERE c.run = (SELECT no FROM runs WHERE id = ?) AND c.asset || '' = ? ORDER BY c.no DESC LIMIT ?;

-- How long steps usually take: user code by the worker's clock, or else the committed attempt.
-- name: usual
SELECT a.step, percentile_cont(a.duration, 0.5), percentile_cont(a.duration, 0.9), count(*)
FROM (SELECT step, CASE WHEN ended_at <> 0.0 THEN ended_at - began_at ELSE finished_at - started_at END AS duration
      FROM (SELECT no AS recent FROM runs
            WHERE pipeline = ? AND state = 'succeeded' AND no < ? ORDER BY no DESC LIMIT ?) AS newest
      JOIN attempts ON run = recent
      WHERE state = 'succeeded' AND cached_from = '') AS a
GROUP BY a.step;

-- For the audit; the unique key should make it empty.
-- name: doubled_origins
SELECT namespace, origin, count(*) FROM runs GROUP BY namespace, origin HAVING count(*) > 1;

-- name: migrations
SELECT no, name FROM migrations ORDER BY no;

-- name: insert_migration
INSERT INTO migrations (no, name, applied_at) VALUES (?, ?, ?);
