-- Step instances of a run, little of each: for lists and pictures of very many.

-- name: instance_ends
SELECT step, idx, state, finished_at FROM steps WHERE run = (SELECT no FROM runs WHERE id = ?);

-- How often each was tried, from when to when (by the workers' clocks where they are known), and whether it is at work now.
-- name: instance_tries
SELECT step, idx, COUNT(*), MIN(CASE WHEN began_at > 0 THEN began_at ELSE started_at END),
       MAX(CASE WHEN ended_at > 0 THEN ended_at ELSE finished_at END),
       MAX(CASE WHEN state IN ('dispatched', 'started') THEN 1 ELSE 0 END)
FROM attempts WHERE run = (SELECT no FROM runs WHERE id = ?) GROUP BY step, idx;
