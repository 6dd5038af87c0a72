-- name: job_insert
-- Something to do; `lane_due` comes with it, or `lane_make` if it is leased from the start.
INSERT INTO job (
    id, account, kind, lane, subject_id, payload, state, due_at, attempt, owner, lease_until, created_at, interrupted,
    interruptions, failures
) VALUES (
    :id, :account, :kind, :lane, :subject_id, :payload, :state, :due_at, :attempt, :owner, :lease_until, :created_at,
    :interrupted, :interruptions, :failures
);

-- name: job_get
-- One job.
SELECT
    id, account, kind, lane, subject_id, payload, state, due_at, attempt, owner, lease_until, created_at, interrupted,
    interruptions, failures
FROM job WHERE id = :id;

-- name: job_renew
-- Hold a job longer; no row back means that it is not this owner's.
UPDATE job SET lease_until = :now + :lease
WHERE id = :id AND owner = :owner AND state = 'leased' RETURNING id;

-- name: job_finish
-- Done; no row back means that the lease was lost.
DELETE FROM job WHERE id = :id AND owner = :owner AND attempt = :attempt AND state = 'leased' RETURNING id;

-- name: job_retry
-- To be claimed again later; no row back means that the lease was lost.
UPDATE job SET state = 'ready', due_at = :due_at, payload = :payload, owner = NULL, lease_until = NULL,
    interrupted = 0, failures = 0
WHERE id = :id AND owner = :owner AND attempt = :attempt AND state = 'leased' RETURNING id;

-- name: job_put_back
-- To be claimed again later, interrupted; no row back means that the lease was lost.
UPDATE job SET state = 'ready', due_at = :due_at, owner = NULL, lease_until = NULL, interrupted = 1,
    interruptions = interruptions + 1, failures = :failures
WHERE id = :id AND owner = :owner AND attempt = :attempt AND state = 'leased' RETURNING id;

-- name: job_release
-- Give a claim back as if it had not been; no row back means that the lease was lost.
UPDATE job SET state = 'ready', attempt = attempt - 1, payload = :payload, owner = NULL, lease_until = NULL
WHERE id = :id AND owner = :owner AND attempt = :attempt AND state = 'leased' RETURNING id;

-- name: job_bury
-- Out of tries; no row back means that the lease was lost.
UPDATE job SET state = 'dead', owner = NULL, lease_until = NULL
WHERE id = :id AND owner = :owner AND attempt = :attempt AND state = 'leased' RETURNING id;

-- name: job_revive
-- A dead letter is due again, with all its tries before it.
UPDATE job SET state = 'ready', due_at = :now, interruptions = attempt, failures = 0
WHERE subject_id = :subject_id AND state = 'dead' RETURNING lane, kind, due_at;

-- name: job_interrupt_expired
-- What its owner let expire is ready again, and says so.
UPDATE job SET state = 'ready', owner = NULL, lease_until = NULL, interrupted = 1,
    interruptions = interruptions + 1
WHERE state = 'leased' AND lease_until <= :now RETURNING lane, kind, due_at;

-- name: job_interrupt_owner
-- What a dead owner held is ready again, and says so.
UPDATE job SET state = 'ready', owner = NULL, lease_until = NULL, interrupted = 1,
    interruptions = interruptions + 1
WHERE state = 'leased' AND owner = :owner RETURNING lane, kind, due_at;

-- name: job_interrupt_all
-- What anybody held is ready again, and says so.
UPDATE job SET state = 'ready', owner = NULL, lease_until = NULL, interrupted = 1,
    interruptions = interruptions + 1
WHERE state = 'leased' RETURNING lane, kind, due_at;

-- name: job_next_expiry
-- When the next lease ends.
SELECT min(lease_until) AS at FROM job WHERE state = 'leased' AND lease_until > :now;

-- name: lane_due
-- wakes: jobs
-- A job of this lane is ready, due at an instant.
INSERT INTO lane (lane, kind, head_at) VALUES (:lane, :kind, :due_at)
ON CONFLICT (lane) DO UPDATE SET head_at = excluded.head_at
WHERE lane.head_at IS NULL OR excluded.head_at < lane.head_at;

-- name: lane_make
-- A job of this lane is leased; whether others are ready is known already.
INSERT INTO lane (lane, kind) VALUES (:lane, :kind) ON CONFLICT (lane) DO NOTHING;

-- name: lane_advance
-- Jobs of this lane were taken: find its earliest anew.
UPDATE lane SET head_at = (SELECT min(due_at) FROM job WHERE job.lane = :lane AND job.state = 'ready')
WHERE lane = :lane;

-- name: lane_back_off
-- Claim nothing in this lane before an instant.
UPDATE lane SET backing_off_until = :until WHERE lane = :lane AND backing_off_until < :until;

-- name: lane_open
-- Claim in this lane again.
UPDATE lane SET backing_off_until = 0 WHERE lane = :lane AND backing_off_until > 0;

-- name: lane_next_open
-- When the next lane of a kind opens.
SELECT min(open_at) AS at FROM lane WHERE kind = :kind AND open_at > :now;

-- name: lane_forget
-- Drop so many lanes in which nothing is ready or leased; a row back for each.
DELETE FROM lane WHERE lane IN (
    SELECT lane FROM lane WHERE head_at IS NULL AND backing_off_until <= :now
        AND NOT EXISTS (SELECT 1 FROM job WHERE job.lane = lane.lane AND job.state = 'leased')
    LIMIT :limit
) RETURNING lane;
