-- name: server_get
-- A value of the server itself.
SELECT value FROM server WHERE name = :name;

-- name: server_keep
-- Keep a value of the server unless there is one.
INSERT INTO server (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING;
