-- Sensors, their looks, keys and deliveries.

-- Paused and heard are those of its first declaration, until somebody changes them.
-- name: put_sensor
INSERT INTO sensors (namespace, name, project, spec, active, paused, heard) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (namespace, name) DO UPDATE
SET project = excluded.project, spec = excluded.spec, active = excluded.active, failures = 0;

-- name: pause_sensor
UPDATE sensors SET paused = ?, reason = ?, heard = max(heard, ?) WHERE namespace = ? AND name = ?;

-- name: reset_sensor
UPDATE sensors SET cursor = ?, failures = 0 WHERE namespace = ? AND name = ?;

-- name: sensors_heard
UPDATE sensors SET heard = max(heard, ?);

-- name: sensor_looked
UPDATE sensors
SET cursor = ?, evaluated_at = ?, failures = ?, looks = looks + 1 + ?, quiet = quiet + ?, heard = max(heard, ?)
WHERE namespace = ? AND name = ?;

-- name: put_evaluation
INSERT INTO evaluations (namespace, sensor, at, took_s, skipped, error, requests, output)
VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- One key is one run, whatever is asked later.
-- name: put_run_key
INSERT INTO run_keys (namespace, sensor, key, run, at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (namespace, sensor, key) DO NOTHING;

-- name: put_delivery
INSERT INTO deliveries (namespace, sensor, delivery, at, body, headers) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (namespace, sensor, delivery) DO NOTHING;

-- name: take_delivery
UPDATE deliveries SET taken = 1, body = NULL, headers = NULL WHERE namespace = ? AND sensor = ? AND delivery = ?;

-- What was given up keeps its body, for people to look at.
-- name: drop_delivery
UPDATE deliveries SET taken = 1 WHERE namespace = ? AND sensor = ? AND delivery = ?;

-- name: sensors
SELECT namespace, name, project, spec, active, paused, reason, cursor, evaluated_at, failures, looks, quiet, heard
FROM sensors WHERE (namespace, name) > (?, ?) ORDER BY namespace, name LIMIT ?;

-- name: sensor
SELECT namespace, name, project, spec, active, paused, reason, cursor, evaluated_at, failures, looks, quiet, heard
FROM sensors WHERE namespace = ? AND name = ?;

-- name: evaluations
SELECT no, namespace, sensor, at, took_s, skipped, error, requests, output
FROM evaluations WHERE namespace = ? AND sensor = ? AND no < ? ORDER BY no DESC LIMIT ?;

-- name: run_key
SELECT run FROM run_keys WHERE namespace = ? AND sensor = ? AND key = ?;

-- name: run_keys
SELECT key, run, at FROM run_keys WHERE namespace = ? AND sensor = ? AND key > ? ORDER BY key LIMIT ?;

-- name: delivery
SELECT no, namespace, sensor, delivery, at, taken FROM deliveries
WHERE namespace = ? AND sensor = ? AND delivery = ?;

-- name: deliveries_waiting
SELECT no, delivery, at, body, headers FROM deliveries
WHERE namespace = ? AND sensor = ? AND taken = 0 AND no > ? ORDER BY no LIMIT ?;
