-- name: seen_remember
-- Record an answer unless one is recorded that is not older than the horizon; a row back means recorded.
INSERT INTO seen (account, event_key, email_id, reply_code, reply_text, at)
VALUES (:account, :event_key, :email_id, :reply_code, :reply_text, :at)
ON CONFLICT (account, event_key) DO UPDATE
SET email_id = excluded.email_id, reply_code = excluded.reply_code, reply_text = excluded.reply_text, at = excluded.at
WHERE seen.at < :horizon
RETURNING email_id;

-- name: seen_find
-- The answer recorded for a mail, if it is not older than the horizon.
SELECT account, event_key, email_id, reply_code, reply_text, at FROM seen
WHERE account = :account AND event_key = :event_key AND at >= :horizon;

-- name: seen_forget
-- Drop so many answers that are older than the horizon; a row back for each.
DELETE FROM seen WHERE (account, event_key) IN (
    SELECT account, event_key FROM seen WHERE at < :horizon ORDER BY at LIMIT :limit
) RETURNING event_key;
