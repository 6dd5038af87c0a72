-- name: run_insert
-- Record a run.
INSERT INTO run (id, account, email_id, worker, state, attempt, started_at, ended_at, error, log)
VALUES (:id, :account, :email_id, :worker, :state, :attempt, :started_at, :ended_at, :error, :log);

-- name: run_get
-- One run.
SELECT id, account, email_id, worker, state, attempt, started_at, ended_at, error, log FROM run WHERE id = :id;

-- name: run_update
-- Where a run stands now; what it belongs to never changes.
UPDATE run SET state = :state, attempt = :attempt, started_at = :started_at, ended_at = :ended_at,
    error = :error, log = :log
WHERE id = :id;

-- name: run_of_email
-- The runs on a mail, in order.
SELECT id, account, email_id, worker, state, attempt, started_at, ended_at, error, log FROM run
WHERE email_id = :email_id ORDER BY started_at, id;

-- name: effect_insert
-- Commit an effect of a run.
INSERT INTO effect (run_id, ordinal, kind, sent_id, detail) VALUES (:run_id, :ordinal, :kind, :sent_id, :detail);

-- name: effect_of_run
-- The effects of a run, in order.
SELECT run_id, ordinal, kind, sent_id, detail FROM effect WHERE run_id = :run_id ORDER BY ordinal;
