-- Questions to schedulers on other machines: few rows, each for some milliseconds.

-- name: ask_question
INSERT INTO questions (resource, tag, body, asked_at) VALUES (?, ?, ?, ?) RETURNING no;

-- name: question
SELECT taken_at, reply FROM questions WHERE no = ?;

-- name: remove_question
DELETE FROM questions WHERE no = ?;

-- A question that nobody has taken yet: whoever asked does not wait any more.
-- name: take_back_question
DELETE FROM questions WHERE no = ? AND taken_at IS NULL RETURNING no;

-- name: open_questions
SELECT no, tag, body FROM questions WHERE resource = ? AND taken_at IS NULL ORDER BY no LIMIT ?;

-- By whoever has the lease, and by nobody else.
-- name: take_question
UPDATE questions SET taken_at = ?
WHERE no = ? AND taken_at IS NULL
AND EXISTS (SELECT 1 FROM leases WHERE leases.resource = questions.resource AND holder = ?) RETURNING no;

-- name: answer_question
UPDATE questions SET reply = ? WHERE no = ?;

-- Whoever asked has died.
-- name: sweep_questions
DELETE FROM questions WHERE asked_at < ?;
