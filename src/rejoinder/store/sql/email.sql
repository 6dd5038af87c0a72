-- name: email_insert
-- Store a received mail for one forward-path.
INSERT INTO email (
    id, account, thread_id, raw_id, raw_size, reverse_path, forward_path, client_ip, helo, trace, verdict,
    event_key, event_key_stable, status, mark, route, message_id, subject, author, author_name, received_at
) VALUES (
    :id, :account, :thread_id, :raw_id, :raw_size, :reverse_path, :forward_path, :client_ip, :helo, :trace, :verdict,
    :event_key, :event_key_stable, :status, :mark, :route, :message_id, :subject, :author, :author_name, :received_at
);

-- name: email_get
-- One mail of an account.
SELECT
    id, account, thread_id, raw_id, raw_size, reverse_path, forward_path, client_ip, helo, trace, verdict,
    event_key, event_key_stable, status, mark, route, message_id, subject, author, author_name, received_at
FROM email WHERE id = :id AND account = :account;

-- name: email_listing
-- A page of an account's mail, the newest first.
SELECT
    id, account, thread_id, raw_id, raw_size, reverse_path, forward_path, client_ip, helo, trace, verdict,
    event_key, event_key_stable, status, mark, route, message_id, subject, author, author_name, received_at
FROM email WHERE account = :account AND received_at >= :since
ORDER BY received_at DESC, id DESC LIMIT :limit OFFSET :offset;

-- name: email_count
-- How many mails the whole listing has.
SELECT count(*) AS total FROM email WHERE account = :account AND received_at >= :since;

-- name: email_set_status
-- Say what became of a mail.
UPDATE email SET status = :status WHERE id = :id;
