-- Gates and votes.

-- name: open_gate
INSERT INTO gates (run, step, idx, of, opened_at, due_at) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (run, step, idx) DO UPDATE SET of = excluded.of, opened_at = excluded.opened_at, due_at = excluded.due_at
WHERE gates.opened_at IS NULL AND gates.answered_at IS NULL;

-- name: report_to_gate
INSERT INTO gates (run, step, idx, report) VALUES (?, ?, ?, ?)
ON CONFLICT (run, step, idx) DO NOTHING;

-- name: hear_of_gate
UPDATE gates SET heard_at = ?, message = ?
WHERE run = ? AND step = ? AND idx = ? AND opened_at IS NOT NULL AND answered_at IS NULL;

-- name: vote
INSERT INTO votes (run, step, idx, by, at, choice, roles, comment, answer)
SELECT run, step, idx, ?, ?, ?, ?, ?, ? FROM gates
WHERE run = ? AND step = ? AND idx = ? AND opened_at IS NOT NULL AND answered_at IS NULL
ON CONFLICT (run, step, idx, by) DO UPDATE
SET at = excluded.at, choice = excluded.choice, roles = excluded.roles, comment = excluded.comment,
    answer = excluded.answer;

-- Reads its gate: only one that still waits gives its step a result.
-- name: gate_succeeded
INSERT INTO steps (run, step, idx, state, attempt, not_before, finished_at, reason, because, value, choice, again,
                   reused_from)
SELECT run, step, idx, 'succeeded', 0, 0.0, ?, '', NULL, ?, ?, NULL, ''
FROM gates WHERE run = ? AND step = ? AND idx = ? AND answered_at IS NULL
ON CONFLICT (run, step, idx) DO UPDATE
SET state = excluded.state, attempt = 0, not_before = 0.0, finished_at = excluded.finished_at, reason = '',
    because = NULL, value = excluded.value, choice = excluded.choice, again = NULL
WHERE steps.state IN ('waiting', 'ready', 'running');

-- name: answer_gate
UPDATE gates SET answered_at = ?, how = ?, accepted = ?, choice = ?, by = ?, comment = ?, metadata = ?
WHERE run = ? AND step = ? AND idx = ? AND answered_at IS NULL;

-- name: show_gate
UPDATE gates SET material = ?, token = ?, remind_at = ?
WHERE run = (SELECT no FROM runs WHERE id = ?) AND step = ? AND idx = ?;

-- name: remind_of_gate
UPDATE gates SET reminded = ?, remind_at = ? WHERE run = (SELECT no FROM runs WHERE id = ?) AND step = ? AND idx = ?;

-- name: gates_of_run
SELECT g.step, g.idx, g.of, g.opened_at, g.due_at, g.heard_at, g.message, g.report, g.answered_at, g.how, g.accepted,
       g.choice, g.by, g.comment, g.metadata
FROM runs r JOIN gates g ON g.run = r.no WHERE r.id = ?;

-- name: votes_of_run
SELECT v.step, v.idx, v.by, v.at, v.choice, v.roles, v.comment, v.answer
FROM runs r JOIN votes v ON v.run = r.no WHERE r.id = ?;

-- Of the gates of a kind that wait, those that wait longest first.
-- name: open_gates
SELECT r.id, r.no, r.pipeline, r.project, r.namespace, r.by, r.graph, g.step, g.idx, g.of, g.opened_at, g.due_at,
       g.heard_at, g.message, g.material, g.reminded, g.remind_at
FROM gates g JOIN runs r ON r.no = g.run
WHERE g.answered_at IS NULL AND g.of = ? AND (g.opened_at, g.run, g.step, g.idx) > (?, ?, ?, ?)
ORDER BY g.opened_at, g.run, g.step, g.idx LIMIT ?;

-- name: gate
SELECT r.id, r.no, r.pipeline, r.project, r.namespace, r.by, r.graph, g.step, g.idx, g.of, g.opened_at, g.due_at,
       g.heard_at, g.message, g.material, g.reminded, g.remind_at
FROM runs r JOIN gates g ON g.run = r.no
WHERE r.id = ? AND g.step = ? AND g.idx = ?;

-- name: votes_of_gate
SELECT v.step, v.idx, v.by, v.at, v.choice, v.roles, v.comment, v.answer
FROM runs r JOIN votes v ON v.run = r.no WHERE r.id = ? AND v.step = ? AND v.idx = ?;

-- name: gate_of_token
SELECT r.id, g.step, g.idx FROM gates g JOIN runs r ON r.no = g.run WHERE g.token = ?;
