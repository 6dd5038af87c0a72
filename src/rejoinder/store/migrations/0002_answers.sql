-- Answers through the API: what was answered under an idempotency key, how much of a quota is used, and the
-- tags of what is sent.

CREATE TABLE idempotency (
    account TEXT NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    answer TEXT NOT NULL,
    sent_id TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (account, method, path, key)
);
CREATE INDEX idempotency_by_time ON idempotency (at);
CREATE INDEX idempotency_of_sent ON idempotency (sent_id);

-- One row for each length of time: period names the one that is counted, and a new one begins at nothing.
CREATE TABLE quota (
    account TEXT NOT NULL,
    length TEXT NOT NULL,
    period TEXT NOT NULL,
    total BIGINT NOT NULL,
    PRIMARY KEY (account, length)
);

ALTER TABLE sent ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
