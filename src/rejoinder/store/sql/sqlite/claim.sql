-- What differs from a database with several writers: here nobody else can be claiming.

-- name: lane_claimable
-- The lanes of a kind that are open and have room, the longest open first.
SELECT lane, open_at, leased FROM (
    SELECT lane, open_at, (SELECT count(*) FROM job WHERE job.lane = lane.lane AND job.state = 'leased') AS leased
    FROM lane WHERE kind = :kind AND open_at <= :now
)
WHERE leased < :room ORDER BY open_at LIMIT :window;

-- name: job_claim
-- Lease the jobs of a lane that are due longest.
UPDATE job SET state = 'leased', owner = :owner, lease_until = :now + :lease, attempt = attempt + 1
WHERE id IN (
    SELECT id FROM job WHERE lane = :lane AND state = 'ready' AND due_at <= :now ORDER BY due_at, id LIMIT :places
)
RETURNING
    id, account, kind, lane, subject_id, payload, state, due_at, attempt, owner, lease_until, created_at, interrupted,
    interruptions, failures;
