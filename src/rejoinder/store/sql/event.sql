-- name: event_insert
-- Record a step.
INSERT INTO event (id, account, kind, at, email_id, sent_id, run_id, evidence)
VALUES (:id, :account, :kind, :at, :email_id, :sent_id, :run_id, :evidence);

-- name: event_of_email
-- The steps of a mail, of its runs, and of what answers it, in order.
SELECT id, account, kind, at, email_id, sent_id, run_id, evidence FROM event
WHERE account = :account AND position IN (
    SELECT position FROM event WHERE email_id = :email_id
    UNION
    SELECT event.position FROM sent JOIN event ON event.sent_id = sent.id WHERE sent.email_id = :email_id
)
ORDER BY at, position;

-- name: event_of_sent
-- The steps of a sent message, in order.
SELECT id, account, kind, at, email_id, sent_id, run_id, evidence FROM event
WHERE account = :account AND sent_id = :sent_id ORDER BY at, position;

-- name: event_recent
-- The last steps of an account, the newest first.
SELECT id, account, kind, at, email_id, sent_id, run_id, evidence FROM event
WHERE account = :account ORDER BY position DESC LIMIT :limit;
