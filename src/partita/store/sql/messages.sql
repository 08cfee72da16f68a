-- The outbox, and causes for alarm.

-- name: message_columns
SELECT no, key, namespace, rule, channel, topic, payload, at, not_before, tries, next_at, sent_at, error FROM outbox;

-- name: messages
{message_columns} WHERE no < ? ORDER BY no DESC LIMIT ?;

-- name: message
{message_columns} WHERE key = ?;

-- name: messages_unsent
{message_columns} WHERE next_at IS NOT NULL ORDER BY next_at LIMIT ?;

-- The same key again is the same message.
-- name: insert_message
INSERT INTO outbox (key, namespace, rule, channel, topic, payload, at, not_before, next_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING;

-- name: update_message
UPDATE outbox SET tries = ?, next_at = ?, sent_at = ?, error = ? WHERE key = ?;

-- name: alerts
SELECT namespace, rule, subject, since, message, run FROM alerts ORDER BY since;

-- name: open_alert
INSERT INTO alerts (namespace, rule, subject, since, message, run) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (namespace, rule, subject) DO UPDATE SET message = excluded.message, run = excluded.run;

-- name: close_alert
DELETE FROM alerts WHERE namespace = ? AND rule = ? AND subject = ?;

-- name: read_until
SELECT no FROM cursors WHERE name = ?;

-- name: set_read_until
INSERT INTO cursors (name, no) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET no = excluded.no;
