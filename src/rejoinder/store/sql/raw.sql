-- name: raw_insert
-- Keep the bytes of a message, or where they lie.
INSERT INTO raw (id, sha256, size, location, created_at, content)
VALUES (:id, :sha256, :size, :location, :created_at, :content);

-- name: raw_get
-- Where the bytes are.
SELECT id, sha256, size, content, location, created_at FROM raw WHERE id = :id;
