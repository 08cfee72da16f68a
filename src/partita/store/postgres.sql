-- What a commit does to many step instances, as one statement each for PostgreSQL: a parameter is a column of all rows.
-- Each stands for the statement of the same name in sql/, run once for every row in order (`dialect.many`).

-- name: insert_journal
INSERT INTO journal (run, seq, at, events)
SELECT r.run, r.seq, r.at, r.events
FROM unnest(?::int8[], ?::int8[], ?::float8[], ?::bytea[]) WITH ORDINALITY AS r (run, seq, at, events, place)
ORDER BY r.place;

-- name: start_attempt
INSERT INTO attempts (run, step, idx, no, state, epoch, worker, external, started_at)
SELECT r.run, r.step, r.idx, r.no, 'started', r.epoch, r.worker, '', r.at
FROM unnest(?::int8[], ?::text[], ?::text[], ?::int8[], ?::int8[], ?::text[], ?::float8[])
     AS r (run, step, idx, no, epoch, worker, at)
ON CONFLICT (run, step, idx, no) DO UPDATE
SET state = 'started', started_at = excluded.started_at, worker = excluded.worker
WHERE attempts.state = 'dispatched' AND attempts.epoch = excluded.epoch;

-- name: end_started_attempt
UPDATE attempts AS a
SET state = r.state, finished_at = r.finished_at, began_at = r.began_at, ended_at = r.ended_at,
    cached_from = r.cached_from, detail = r.detail
FROM unnest(?::text[], ?::float8[], ?::float8[], ?::float8[], ?::text[], ?::bytea[], ?::int8[], ?::text[], ?::text[],
            ?::int8[], ?::int8[])
     AS r (state, finished_at, began_at, ended_at, cached_from, detail, run, step, idx, no, epoch)
WHERE a.run = r.run AND a.step = r.step AND a.idx = r.idx AND a.no = r.no AND a.epoch = r.epoch AND a.state = 'started';

-- name: step_succeeded
INSERT INTO steps (run, step, idx, state, attempt, not_before, finished_at, reason, because, value, choice, again,
                   reused_from)
SELECT a.run, a.step, a.idx, 'succeeded', a.no, 0.0, a.finished_at, '', NULL, r.value, r.choice, r.again, ''
FROM unnest(?::bytea[], ?::bytea[], ?::int8[], ?::int8[], ?::text[], ?::text[], ?::int8[], ?::int8[])
     AS r (value, choice, again, run, step, idx, no, epoch)
JOIN attempts AS a ON a.run = r.run AND a.step = r.step AND a.idx = r.idx AND a.no = r.no AND a.epoch = r.epoch
WHERE a.state = 'succeeded'
ON CONFLICT (run, step, idx) DO UPDATE
SET state = excluded.state, attempt = excluded.attempt, not_before = 0.0, finished_at = excluded.finished_at,
    reason = '', because = NULL, value = excluded.value, choice = excluded.choice, again = excluded.again
WHERE steps.state IN ('waiting', 'ready', 'running');
