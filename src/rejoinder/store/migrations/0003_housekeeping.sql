-- How often a job was interrupted, and how often its handler failed; and what the housekeeping goes through.

ALTER TABLE job ADD COLUMN interruptions BIGINT NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN failures BIGINT NOT NULL DEFAULT 0;

CREATE INDEX seen_by_time ON seen (at);
CREATE INDEX lane_idle ON lane (backing_off_until) WHERE head_at IS NULL;
