-- name: idempotency_find
-- The answer kept under a key, if it is not older than the horizon.
SELECT account, method, path, key, fingerprint, answer, sent_id, at FROM idempotency
WHERE account = :account AND method = :method AND path = :path AND key = :key AND at >= :horizon;

-- name: idempotency_keep
-- Keep an answer unless one is kept that is not older than the horizon; a row back means kept.
INSERT INTO idempotency (account, method, path, key, fingerprint, answer, sent_id, at)
VALUES (:account, :method, :path, :key, :fingerprint, :answer, :sent_id, :at)
ON CONFLICT (account, method, path, key) DO UPDATE
SET fingerprint = excluded.fingerprint, answer = excluded.answer, sent_id = excluded.sent_id, at = excluded.at
WHERE idempotency.at < :horizon
RETURNING sent_id;

-- name: idempotency_expire
-- Drop some of what is older than the horizon, the oldest first.
DELETE FROM idempotency WHERE (account, method, path, key) IN (
    SELECT account, method, path, key FROM idempotency WHERE at < :horizon ORDER BY at LIMIT 10
);

-- name: idempotency_amend
-- Another answer for the repeats of the request that sent a message.
UPDATE idempotency SET answer = :answer WHERE sent_id = :sent_id;

-- name: idempotency_forget
-- Keep nothing for the request that sent a message, so that it can be made again.
DELETE FROM idempotency WHERE sent_id = :sent_id;
