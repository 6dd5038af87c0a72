-- name: quota_count
-- Count so many more in a period; the first of a new period begin again.
INSERT INTO quota (account, length, period, total) VALUES (:account, :length, :period, :number)
ON CONFLICT (account, length) DO UPDATE
SET total = CASE WHEN quota.period = excluded.period THEN quota.total ELSE 0 END + excluded.total,
    period = excluded.period
RETURNING total;

-- name: quota_give_back
-- Count so many less, if the period still goes on.
UPDATE quota SET total = total - :number
WHERE account = :account AND length = :length AND period = :period;
