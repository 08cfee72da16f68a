-- Namespaces: what the store has of each.

-- Those that a deployment is to be served in: of each project the newest that was taken says which.
-- name: deployed_namespaces
SELECT DISTINCT namespace FROM deployments AS d WHERE project > '' AND state = 'taken'
    AND no = (SELECT max(no) FROM deployments AS e WHERE e.project = d.project AND e.state = 'taken')
ORDER BY namespace;

-- name: namespace_is_known
SELECT EXISTS (SELECT 1 FROM runs WHERE namespace = ?) OR EXISTS (SELECT 1 FROM schedules WHERE namespace = ?)
    OR EXISTS (SELECT 1 FROM sensors WHERE namespace = ?) OR EXISTS (SELECT 1 FROM backfills WHERE namespace = ?);
