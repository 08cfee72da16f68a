-- Assets beside runs: reports from elsewhere, verdicts, automation, freshness, keys of dynamic partitions.

-- ==== writing ====

-- A report with a key that is known is not written again.
-- name: insert_report
INSERT INTO materializations (asset, partition, run, step, idx, attempt, at, data_version, code_version, metadata, value,
                              began_at, ended_at)
VALUES (?, ?, NULL, ?, ?, 0, ?, ?, '', ?, NULL, 0.0, 0.0)
ON CONFLICT DO NOTHING
RETURNING no;

-- name: point_latest_to
INSERT INTO latest (asset, partition, materialization, changed, changed_at)
SELECT asset, partition, no, no, at FROM materializations WHERE no = ?
{newer_is_latest};

-- name: insert_reported_check
INSERT INTO checks (run, step, idx, attempt, at, asset, name, partition, passed, severity, message, metadata)
VALUES (NULL, ?, '', 0, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: put_automation
INSERT INTO automation (asset, at, memory) VALUES (?, ?, ?)
ON CONFLICT (asset) DO UPDATE SET at = excluded.at, memory = excluded.memory;

-- name: insert_automated
INSERT INTO automated (asset, at, partitions, run, reason, tree) VALUES (?, ?, ?, ?, ?, ?);

-- `since` is when it came into its state.
-- name: put_freshness
INSERT INTO freshness (asset, partition, state, since, reason, due_at) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (asset, partition) DO UPDATE
SET since = CASE WHEN freshness.state = excluded.state THEN freshness.since ELSE excluded.since END,
    state = excluded.state, reason = excluded.reason, due_at = excluded.due_at;

-- name: add_partition
INSERT INTO partitions (namespace, name, key, at, by) VALUES (?, ?, ?, ?, ?) ON CONFLICT (namespace, name, key) DO NOTHING;

-- name: remove_partition
DELETE FROM partitions WHERE namespace = ? AND name = ? AND key = ?;

-- ==== what was made ====

-- name: made_columns
SELECT l.partition, l.materialization, m.at, m.data_version, m.code_version, l.changed, l.changed_at, coalesce(r.id, ''),
       CASE WHEN m.attempt = 0 THEN m.step ELSE '' END
FROM latest AS l JOIN materializations AS m ON m.no = l.materialization LEFT JOIN runs AS r ON r.no = m.run;

-- name: made
{made_columns} WHERE l.asset = ? AND l.partition = ?;

-- name: made_of_asset
{made_columns} WHERE l.asset = ? AND l.partition >= ? ORDER BY l.partition LIMIT ?;

-- name: made_keys
SELECT partition FROM latest WHERE asset = ?;

-- name: made_count
SELECT count(*) FROM latest WHERE asset = ?;

-- name: newest_made
{made_columns} WHERE l.asset = ? ORDER BY l.partition DESC LIMIT 1;

-- name: report_of_key
SELECT no FROM materializations
WHERE asset = ? AND partition = ? AND step = ? AND idx = ? AND run IS NULL AND idx <> '';

-- name: history_columns
SELECT m.no, m.asset, m.partition, coalesce(r.id, ''), m.step, m.idx, m.attempt, m.at, m.data_version, m.code_version,
       m.metadata, m.value, m.began_at, m.ended_at
FROM materializations AS m LEFT JOIN runs AS r ON r.no = m.run;

-- name: history_of_asset
{history_columns} WHERE m.asset = ? AND m.no < ? ORDER BY m.no DESC LIMIT ?;

-- name: history_of_partition
{history_columns} WHERE m.asset = ? AND m.partition = ? AND m.no < ? ORDER BY m.no DESC LIMIT ?;

-- What tells whether anything was made or tested since.
-- name: assets_stamp
SELECT (SELECT max(no) FROM materializations), (SELECT max(no) FROM checks);

-- What runs now, over all runs: few rows, in an index of their own.
-- name: open_steps
SELECT r.project, a.step, r.partition, r.partitions, r.id
FROM attempts AS a INDEXED BY one_open JOIN runs AS r ON r.no = a.run
WHERE a.state IN ('dispatched', 'started') LIMIT ?;

-- name: last_run_no
SELECT max(no) FROM runs;

-- Where a step failed, in the newest runs of its project.
-- name: failures_of_step
SELECT r.partition, r.partitions, s.finished_at, r.id
FROM runs AS r JOIN steps AS s ON s.run = r.no AND s.step = ?
WHERE r.no > ? AND r.project = ? AND s.state IN ('failed', 'needs_attention')
ORDER BY r.no LIMIT ?;

-- ==== verdicts of checks ====

-- name: verdicts_of_partition
SELECT partition, name, passed, severity, at, message FROM verdicts WHERE asset = ? AND partition = ? ORDER BY name;

-- name: verdicts_of_asset
SELECT partition, name, passed, severity, at, message FROM verdicts WHERE asset = ?;

-- name: next_with_verdicts
SELECT asset FROM verdicts WHERE asset > ? ORDER BY asset LIMIT 1;

-- name: failed_of_asset
SELECT partition, name, passed, severity, at, message FROM verdicts
WHERE asset = ? AND passed = 0 ORDER BY partition, name LIMIT ?;

-- name: failed_count
SELECT count(DISTINCT partition) FROM verdicts WHERE asset = ? AND passed = 0 AND severity || '' = 'error';

-- ==== automation, freshness ====

-- name: automation_memory
SELECT memory FROM automation WHERE asset = ?;

-- name: automated_of_asset
SELECT no, asset, at, partitions, run, reason, tree FROM automated WHERE asset = ? AND no < ? ORDER BY no DESC LIMIT ?;

-- name: freshness_of
SELECT asset, partition, state, since, reason, due_at FROM freshness WHERE asset = ? AND partition = ?;

-- name: freshness_list
SELECT asset, partition, state, since, reason, due_at FROM freshness WHERE asset > ? ORDER BY asset, partition LIMIT ?;

-- ==== partitions ====

-- name: dynamic_keys
SELECT key FROM partitions WHERE namespace = ? AND name = ? ORDER BY at, key;

-- name: dynamic_key
SELECT 1 FROM partitions WHERE namespace = ? AND name = ? AND key = ?;
