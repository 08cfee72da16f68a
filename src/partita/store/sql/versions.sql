-- Projects and the versions of their code.

-- name: put_project
INSERT INTO projects (project, namespace, folder, code, loaded_at, took_s, problems, error, active)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1)
ON CONFLICT (project) DO UPDATE SET namespace = excluded.namespace, folder = excluded.folder, code = excluded.code,
    loaded_at = excluded.loaded_at, took_s = excluded.took_s, problems = excluded.problems, error = excluded.error,
    active = 1;

-- name: remove_project
UPDATE projects SET active = 0 WHERE project = ?;

-- By name, those after a name.
-- name: projects
SELECT project, namespace, folder, code, loaded_at, took_s, problems, error, active
FROM projects WHERE project > ? ORDER BY project LIMIT ?;

-- name: project
SELECT project, namespace, folder, code, loaded_at, took_s, problems, error, active FROM projects WHERE project = ?;

-- name: put_version
INSERT INTO versions (project, code, at, manifest) VALUES (?, ?, ?, ?) ON CONFLICT (project, code) DO NOTHING;

-- The newest first; `at` of the last one of a page is the cursor of the next.
-- name: versions
SELECT project, code, at, length(manifest) FROM versions
WHERE project = ? AND at < ? ORDER BY at DESC, code LIMIT ?;

-- name: version_manifest
SELECT manifest FROM versions WHERE project = ? AND code = ?;
