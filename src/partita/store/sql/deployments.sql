-- Deployments: bundles of projects that were brought to a server.

-- name: begin_deployment
INSERT INTO deployments (project, no, namespace, digest, size, rollback, reason, by, at, state)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'trying') ON CONFLICT (project, no) DO NOTHING;

-- name: take_deployment
UPDATE deployments SET state = 'taken', ended_at = ?, code = ?, lock = ?, warnings = ? WHERE project = ? AND no = ?;

-- name: refuse_deployment
UPDATE deployments SET state = 'refused', ended_at = ?, error = ?, problems = ? WHERE project = ? AND no = ?;

-- The newest come first; what is long past goes, but never what is served.
-- name: forget_deployments
DELETE FROM deployments WHERE project = ? AND no <= ?
    AND no <> (SELECT max(no) FROM deployments AS d WHERE d.project = deployments.project AND d.state = 'taken');

-- name: deployments
SELECT project, no, namespace, digest, size, rollback, reason, by, at, state, ended_at, code, lock, warnings, error, problems
FROM deployments WHERE project = ? AND no < ? ORDER BY no DESC LIMIT ?;

-- name: deployment
SELECT project, no, namespace, digest, size, rollback, reason, by, at, state, ended_at, code, lock, warnings, error, problems
FROM deployments WHERE project = ? AND no = ?;

-- Of each project the newest that was taken, by name, those after a name.
-- name: deployed
SELECT project, no, namespace, digest, size, rollback, reason, by, at, state, ended_at, code, lock, warnings, error, problems
FROM deployments AS d WHERE project > ? AND state = 'taken'
    AND no = (SELECT max(no) FROM deployments AS e WHERE e.project = d.project AND e.state = 'taken')
ORDER BY project LIMIT ?;

-- name: deployed_project
SELECT project, no, namespace, digest, size, rollback, reason, by, at, state, ended_at, code, lock, warnings, error, problems
FROM deployments WHERE project = ? AND state = 'taken' ORDER BY no DESC LIMIT 1;

-- What a scheduler left in the middle.
-- name: open_deployments
SELECT project, no, namespace, digest, size, rollback, reason, by, at, state, ended_at, code, lock, warnings, error, problems
FROM deployments WHERE project > '' AND state = 'trying' ORDER BY project, no;

-- name: last_deployment_no
SELECT coalesce(max(no), 0) FROM deployments WHERE project = ?;
