-- Limits that people have set.

-- name: limits
SELECT namespace, of, name, slots, at, by, reason FROM limits ORDER BY namespace, of, name;

-- name: set_limit
INSERT INTO limits (namespace, of, name, slots, at, by, reason) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (namespace, of, name) DO UPDATE
SET slots = excluded.slots, at = excluded.at, by = excluded.by, reason = excluded.reason;

-- name: unset_limit
DELETE FROM limits WHERE namespace = ? AND of = ? AND name = ?;

-- name: last_end_of_run
SELECT max(finished_at) FROM runs WHERE finished_at IS NOT NULL;
