-- name: key_insert
-- Keep an API key's hash.
INSERT INTO api_key (id, account, sha256, scopes, created_at, last_used_at, revoked_at)
VALUES (:id, :account, :sha256, :scopes, :created_at, :last_used_at, :revoked_at);

-- name: key_by_hash
-- The key with this hash, revoked or not.
SELECT id, account, sha256, scopes, created_at, last_used_at, revoked_at FROM api_key WHERE sha256 = :sha256;

-- name: key_get
-- One key, revoked or not.
SELECT id, account, sha256, scopes, created_at, last_used_at, revoked_at FROM api_key WHERE id = :id;

-- name: key_listing
-- The keys of an account, or of all, the oldest first.
SELECT id, account, sha256, scopes, created_at, last_used_at, revoked_at FROM api_key
WHERE account = coalesce(:account, account) ORDER BY created_at, id;

-- name: key_revoke
-- End a key; a key that is revoked stays so, with its first instant.
UPDATE api_key SET revoked_at = :at WHERE id = :id AND revoked_at IS NULL;

-- name: key_touch
-- When a key was used last.
UPDATE api_key SET last_used_at = :at WHERE id = :id;
