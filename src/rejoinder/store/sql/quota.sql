-- name: quota_count
-- Count one more in a period; the first of a new period begins again.
INSERT INTO quota (account, length, period, total) VALUES (:account, :length, :period, 1)
ON CONFLICT (account, length) DO UPDATE
SET total = CASE WHEN quota.period = excluded.period THEN quota.total + 1 ELSE 1 END, period = excluded.period
RETURNING total;
