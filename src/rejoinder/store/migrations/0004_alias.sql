-- The Message-IDs that a provider put on the wire instead of ours, by which the mail can be named too; and
-- what the provider calls the message. A message that leaves in several parts has several.

CREATE TABLE sent_alias (
    account TEXT NOT NULL,
    message_id TEXT NOT NULL,
    sent_id TEXT NOT NULL REFERENCES sent (id),
    provider_id TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (account, message_id)
);
CREATE INDEX sent_alias_of_sent ON sent_alias (sent_id, at);
