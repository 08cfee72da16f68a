-- What the served projects define, all of them; a project that is served no more is left out.

-- name: served_manifests
SELECT m.project, m.data FROM manifests AS m LEFT JOIN projects AS p ON p.project = m.project
WHERE m.project > ? AND coalesce(p.active, 1) = 1 ORDER BY m.project LIMIT ?;
