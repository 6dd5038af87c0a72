-- name: thread_insert
-- Begin a thread.
INSERT INTO thread (id, account, created_at) VALUES (:id, :account, :at);

-- name: thread_named
-- The newest mail of ours that one of ten Message-IDs names, and its thread.
SELECT owner_id, thread_id, at FROM thread_member
WHERE account = :account AND message_id IN (:m0, :m1, :m2, :m3, :m4, :m5, :m6, :m7, :m8, :m9)
UNION ALL
SELECT owner_id, thread_id, thread_member.at FROM sent_alias
JOIN thread_member ON thread_member.account = sent_alias.account AND thread_member.owner_id = sent_alias.sent_id
WHERE sent_alias.account = :account
    AND sent_alias.message_id IN (:m0, :m1, :m2, :m3, :m4, :m5, :m6, :m7, :m8, :m9)
ORDER BY at DESC LIMIT 1;

-- name: thread_name
-- Make a mail a member of its thread, and findable by its Message-ID.
INSERT INTO thread_member (account, owner_id, thread_id, message_id, at)
VALUES (:account, :owner_id, :thread_id, :message_id, :at)
ON CONFLICT (account, owner_id) DO NOTHING;

-- name: thread_members
-- The mail of a thread, the oldest first.
SELECT owner_id, at FROM thread_member
WHERE account = :account AND thread_id = :thread_id ORDER BY at, owner_id;
