-- name: sent_insert
-- Take responsibility for a message (RFC 6409).
INSERT INTO sent (
    id, account, thread_id, email_id, run_id, policy, reverse_path, author, message_id, subject, raw_id, raw_size,
    created_at, tags
) VALUES (
    :id, :account, :thread_id, :email_id, :run_id, :policy, :reverse_path, :author, :message_id, :subject, :raw_id,
    :raw_size, :created_at, :tags
);

-- name: sent_get
-- One sent message.
SELECT
    id, account, thread_id, email_id, run_id, policy, reverse_path, author, message_id, subject, raw_id, raw_size,
    created_at, tags
FROM sent WHERE id = :id;

-- name: sent_of_email
-- What answers a mail, in order.
SELECT
    id, account, thread_id, email_id, run_id, policy, reverse_path, author, message_id, subject, raw_id, raw_size,
    created_at, tags
FROM sent WHERE email_id = :email_id ORDER BY created_at, id;

-- name: sent_is_ours
-- Whether a Message-ID is one that we made, or that a provider put in its place.
SELECT 1 AS ours WHERE EXISTS (SELECT 1 FROM sent WHERE account = :account AND message_id = :message_id)
    OR EXISTS (SELECT 1 FROM sent_alias WHERE account = :account AND message_id = :message_id);

-- name: sent_alias_insert
-- A Message-ID that a provider put on the wire instead of ours.
INSERT INTO sent_alias (account, message_id, sent_id, provider_id, at)
VALUES (:account, :message_id, :sent_id, :provider_id, :at)
ON CONFLICT (account, message_id) DO NOTHING;

-- name: sent_alias_first
-- The first Message-ID that a provider put on the wire instead of ours.
SELECT message_id FROM sent_alias WHERE sent_id = :sent_id ORDER BY at, message_id LIMIT 1;

-- name: sent_count_in_thread
-- How many messages went into a thread since an instant.
SELECT count(*) AS total FROM sent
WHERE account = :account AND policy = :policy AND thread_id = :thread_id AND created_at >= :since;

-- name: sent_count_to_correspondent
-- How many messages went to a correspondent since an instant.
SELECT count(*) AS total FROM delivery
WHERE account = :account AND policy = :policy AND correspondent = :correspondent AND created_at >= :since;

-- name: sent_count_to_correspondent_in_thread
-- How many messages of a thread went to a correspondent since an instant.
SELECT count(*) AS total FROM delivery JOIN sent ON sent.id = delivery.sent_id
WHERE delivery.account = :account AND delivery.policy = :policy AND delivery.correspondent = :correspondent
    AND delivery.created_at >= :since AND sent.thread_id = :thread_id;

-- name: sent_count
-- How many messages an account sent since an instant.
SELECT count(*) AS total FROM sent WHERE account = :account AND policy = :policy AND created_at >= :since;

-- name: delivery_insert
-- One forward-path of a sent message.
INSERT INTO delivery (
    sent_id, forward_path, status, attempts, last_reply, uncertain, updated_at, account, policy, correspondent, created_at
) VALUES (
    :sent_id, :forward_path, :status, :attempts, :last_reply, :uncertain, :updated_at, :account, :policy,
    :correspondent, :created_at
);

-- name: delivery_of_sent
-- The forward-paths of a sent message.
SELECT sent_id, forward_path, status, attempts, last_reply, uncertain, updated_at FROM delivery
WHERE sent_id = :sent_id ORDER BY forward_path;

-- name: delivery_update
-- What became of a forward-path.
UPDATE delivery SET status = :status, attempts = :attempts, last_reply = :last_reply, uncertain = :uncertain,
    updated_at = :updated_at
WHERE sent_id = :sent_id AND forward_path = :forward_path;
