-- Attempts that workers have, over all runs: few rows, in an index of their own.

-- name: working
SELECT a.run, a.step, a.idx, a.no, a.state, a.worker, a.started_at, r.id, r.pipeline, r.project, r.namespace, r.partition
FROM attempts AS a INDEXED BY one_open JOIN runs AS r ON r.no = a.run
WHERE a.state IN ('dispatched', 'started') AND (a.run, a.step, a.idx) > (?, ?, ?)
ORDER BY a.run, a.step, a.idx LIMIT ?;
