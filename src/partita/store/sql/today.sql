-- What ended lately, and what was on at a time.

-- name: ended_since
SELECT namespace, project, pipeline, state, count(*)
FROM (SELECT namespace, project, pipeline, state FROM runs
      WHERE finished_at >= ? AND leaving = 0 ORDER BY finished_at DESC LIMIT ?) AS newest
GROUP BY namespace, project, pipeline, state;

-- name: ended_between
SELECT no, namespace, project, pipeline, partition, state, created_at, started_at, finished_at FROM runs
WHERE finished_at >= ? AND finished_at < ? AND created_at + 0.0 < ? AND leaving = 0 ORDER BY finished_at DESC LIMIT ?;

-- name: open_before
SELECT no, namespace, project, pipeline, partition, state, created_at, started_at, finished_at FROM runs
WHERE state = ? AND created_at + 0.0 < ? ORDER BY no DESC LIMIT ?;

-- name: count_steps_by_state
SELECT state, count(*) FROM steps WHERE run = (SELECT no FROM runs WHERE id = ?) GROUP BY state;
