-- Backfills and their parts.

-- name: insert_backfill
INSERT INTO backfills (id, namespace, project, target, spec, work, total, partitions, priority, state, created_at, by)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'running', ?, ?);

-- name: pause_backfill
UPDATE backfills SET paused = ?, reason = ? WHERE id = ? AND state = 'running';

-- name: cancel_backfill
UPDATE backfills SET cancel_requested = 1, reason = ? WHERE id = ? AND state = 'running';

-- name: say_of_backfill
UPDATE backfills SET reason = ? WHERE id = ? AND state = 'running' AND paused = 0 AND cancel_requested = 0;

-- name: end_backfill
UPDATE backfills SET state = ?, finished_at = ?, reason = ? WHERE id = ? AND state = 'running';

-- name: reopen_backfill
UPDATE backfills SET state = 'running', finished_at = NULL, paused = 0, cancel_requested = 0, reason = '' WHERE id = ?;

-- name: reopen_parts
UPDATE parts SET state = 'waiting', run = '', reason = '', finished_at = NULL
WHERE backfill = (SELECT no FROM backfills WHERE id = ?) AND state IN ('failed', 'cancelled', 'skipped');

-- name: start_part
INSERT INTO parts (backfill, stage, part, partition, state, tries, run)
SELECT no, ?, ?, ?, 'running', 1, ? FROM backfills WHERE id = ?
ON CONFLICT (backfill, stage, part) DO UPDATE
SET state = 'running', tries = parts.tries + 1, run = excluded.run, reason = '', finished_at = NULL;

-- name: end_part
INSERT INTO parts (backfill, stage, part, partition, state, run, reason, finished_at)
SELECT no, ?, ?, ?, ?, ?, ?, ? FROM backfills WHERE id = ?
ON CONFLICT (backfill, stage, part) DO UPDATE
SET state = excluded.state, reason = excluded.reason, finished_at = excluded.finished_at;

-- ==== reading ====

-- name: backfill_columns
SELECT no, id, namespace, project, target, spec, total, partitions, priority, state, paused, cancel_requested,
       created_at, by, finished_at, reason
FROM backfills;

-- name: backfill_by_id
{backfill_columns} WHERE id = ?;

-- name: backfill_by_no
{backfill_columns} WHERE no = ?;

-- Two at most: more than one means that the beginning is ambiguous.
-- name: backfills_by_beginning
{backfill_columns} WHERE id >= ? AND id < ? LIMIT 2;

-- name: backfills
{backfill_columns} WHERE no < ? ORDER BY no DESC LIMIT ?;

-- name: backfills_of_namespace
{backfill_columns} WHERE namespace = ? AND no < ? ORDER BY no DESC LIMIT ?;

-- name: backfills_in_state
{backfill_columns} WHERE state = ? AND no < ? ORDER BY no DESC LIMIT ?;

-- name: open_backfills
{backfill_columns} WHERE state = 'running' ORDER BY no;

-- name: work_of_backfill
SELECT work FROM backfills WHERE id = ?;

-- name: count_parts
SELECT state, count(*) FROM parts WHERE backfill = ? GROUP BY state;

-- name: part_columns
SELECT stage, part, partition, state, tries, run, reason, finished_at FROM parts;

-- name: parts
{part_columns} WHERE backfill = ? AND (stage, part) > (?, ?) ORDER BY stage, part LIMIT ?;

-- name: parts_in_state
{part_columns} WHERE backfill = ? AND state = ? AND (stage, part) > (?, ?) ORDER BY stage, part LIMIT ?;

-- All parts that have done something, without what is said of them.
-- name: part_states
SELECT stage, part, state FROM parts WHERE backfill = ? AND (stage, part) > (?, ?) ORDER BY stage, part LIMIT ?;

-- When its parts ended, the newest first: how fast it goes.
-- name: part_ends
SELECT finished_at FROM parts WHERE backfill = ? AND state = 'succeeded' ORDER BY finished_at DESC LIMIT ?;

-- name: part_of_run
SELECT b.id, p.stage, p.part FROM parts AS p JOIN backfills AS b ON b.no = p.backfill WHERE p.run = ? AND p.run <> '';

-- ==== what planning asks ====

-- name: materialized_partitions
SELECT partition FROM latest WHERE asset = ?;

-- Partitions in which a pipeline has succeeded.
-- name: succeeded_partitions
SELECT DISTINCT partition FROM runs WHERE pipeline = ? AND state = 'succeeded' AND partition <> '' AND selection IS NULL;

-- How the newest run of a partition ended.
-- name: newest_of_partition
SELECT no, state FROM runs WHERE partition = ? AND partition <> '' AND pipeline = ? ORDER BY no DESC LIMIT 1;

-- How steps ended in the newest runs of a partition.
-- name: steps_of_partition
SELECT s.step, s.state
FROM (SELECT no FROM runs WHERE partition = ? AND partition <> '' ORDER BY no DESC LIMIT 10) AS r
JOIN steps AS s ON s.run = r.no ORDER BY r.no DESC;

-- How long the newest materializations of an asset took.
-- name: durations_of_asset
SELECT ended_at - began_at FROM materializations WHERE asset = ? AND ended_at <> 0.0 ORDER BY no DESC LIMIT ?;

-- ==== for the audit ====

-- Parts that say that they run or have succeeded, with what their runs say, where these are still there.
-- name: parts_with_runs
SELECT b.no, b.id, b.state, p.stage, p.part, p.state, r.state, r.origin
FROM parts AS p JOIN backfills AS b ON b.no = p.backfill JOIN runs AS r ON r.id = p.run
WHERE p.run <> '' AND p.backfill = ? AND (p.state = 'succeeded' OR p.state = 'running');

-- name: doubled_partitions
SELECT namespace, pipeline, partition, count(*) FROM runs
WHERE state = 'running' AND partition || '' <> '' AND pipeline || '' <> 'assets'
GROUP BY namespace, pipeline, partition HAVING count(*) > 1;
