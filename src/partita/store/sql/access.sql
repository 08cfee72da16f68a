-- Users, tokens, secrets, audit, answered requests.

-- ==== writing ====

-- name: put_user
INSERT INTO users (name, password, roles, active, email, generation, at) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE
SET password = excluded.password, roles = excluded.roles, active = excluded.active, email = excluded.email,
    generation = excluded.generation, at = excluded.at;

-- name: insert_token
INSERT INTO tokens (id, digest, owner, name, scopes, "of", generation, issued_at, expires_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: revoke_token
UPDATE tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL;

-- name: sweep_expired_tokens
DELETE FROM tokens WHERE expires_at < ?;

-- name: sweep_revoked_tokens
DELETE FROM tokens WHERE revoked_at < ?;

-- name: sweep_answers
DELETE FROM answers WHERE at < ?;

-- name: put_secret
INSERT INTO secrets (namespace, name, sealed, key_id, at, by) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (namespace, name) DO UPDATE
SET sealed = excluded.sealed, key_id = excluded.key_id, at = excluded.at, by = excluded.by;

-- name: remove_secret
DELETE FROM secrets WHERE namespace = ? AND name = ?;

-- name: insert_audit
INSERT INTO audit (no, at, principal, action, object, result, namespace, detail, address, hash)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: put_audit_end
INSERT INTO audit_ends (which, no, hash) VALUES ('last', ?, ?)
ON CONFLICT (which) DO UPDATE SET no = excluded.no, hash = excluded.hash;

-- name: put_audit_start
INSERT INTO audit_ends (which, no, hash) VALUES ('first', ?, ?)
ON CONFLICT (which) DO UPDATE SET no = excluded.no, hash = excluded.hash;

-- name: trim_audit
DELETE FROM audit WHERE no <= ?;

-- name: put_answer
INSERT INTO answers (principal, key, digest, status, body, at) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (principal, key) DO NOTHING;

-- ==== reading ====

-- name: user_columns
SELECT name, password, roles, active, email, generation, at FROM users;

-- name: user
{user_columns} WHERE name = ?;

-- name: users
{user_columns} WHERE name > ? ORDER BY name LIMIT ?;

-- name: token_columns
SELECT id, digest, owner, name, scopes, "of", generation, issued_at, expires_at, revoked_at FROM tokens;

-- name: token_by_id
{token_columns} WHERE id = ?;

-- name: token_by_digest
{token_columns} WHERE digest = ?;

-- Those that hold, oldest first; ids are in the order of time.
-- name: tokens
{token_columns} WHERE id > ? AND "of" = ? AND revoked_at IS NULL ORDER BY id LIMIT ?;

-- name: tokens_of_owner
{token_columns} WHERE id > ? AND owner = ? AND "of" = ? AND revoked_at IS NULL ORDER BY id LIMIT ?;

-- Whether anything expired, was revoked, or was answered before then.
-- name: sweepable
SELECT EXISTS (SELECT 1 FROM tokens WHERE expires_at < ?) OR EXISTS (SELECT 1 FROM tokens WHERE revoked_at < ?)
    OR EXISTS (SELECT 1 FROM answers WHERE at < ?);

-- name: secret_columns
SELECT namespace, name, sealed, key_id, at, by FROM secrets;

-- name: secret
{secret_columns} WHERE namespace = ? AND name = ?;

-- name: secrets
{secret_columns} WHERE (namespace, name) > (?, ?) ORDER BY namespace, name LIMIT ?;

-- name: secrets_of_namespace
{secret_columns} WHERE namespace = ? AND name > ? ORDER BY name LIMIT ?;

-- name: audit_columns
SELECT no, at, principal, action, object, result, namespace, detail, address, hash FROM audit;

-- name: audit_forward
{audit_columns} WHERE no > ? ORDER BY no LIMIT ?;

-- name: audit_backward
{audit_columns} WHERE no < ? ORDER BY no DESC LIMIT ?;

-- name: audit_of_principal
{audit_columns} WHERE principal = ? AND no < ? ORDER BY no DESC LIMIT ?;

-- name: audit_ends
SELECT which, no, hash FROM audit_ends WHERE which IN ('first', 'last');

-- name: answer
SELECT digest, status, body, at FROM answers WHERE principal = ? AND key = ?;
