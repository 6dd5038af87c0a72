-- The schema of the first release. Instants are microseconds since the epoch, UTC; flags are 0 or 1.
-- References are checked at once, never at the commit: a commit is shared by units that know nothing
-- of each other.

CREATE TABLE server (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
);

CREATE TABLE api_key (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    sha256 TEXT NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT,
    revoked_at BIGINT
);
CREATE INDEX api_key_of_account ON api_key (account, created_at);

CREATE TABLE raw (
    id TEXT PRIMARY KEY,
    sha256 TEXT NOT NULL,
    size BIGINT NOT NULL,
    location TEXT,
    created_at BIGINT NOT NULL,
    content BLOB,
    CHECK ((content IS NULL) <> (location IS NULL))
);

CREATE TABLE thread (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

-- Which received or sent mail belongs to which thread, and by which Message-ID it can be named.
CREATE TABLE thread_member (
    account TEXT NOT NULL,
    owner_id TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    message_id TEXT,
    at BIGINT NOT NULL,
    PRIMARY KEY (account, owner_id)
);
CREATE INDEX thread_member_by_message_id ON thread_member (account, message_id, at);
CREATE INDEX thread_member_of_thread ON thread_member (account, thread_id, at);

CREATE TABLE email (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    raw_id TEXT NOT NULL REFERENCES raw (id),
    raw_size BIGINT NOT NULL,
    reverse_path TEXT,
    forward_path TEXT NOT NULL,
    client_ip TEXT NOT NULL,
    helo TEXT NOT NULL,
    trace BLOB NOT NULL,
    verdict TEXT NOT NULL,
    event_key TEXT NOT NULL,
    event_key_stable SMALLINT NOT NULL,
    status TEXT NOT NULL,
    mark TEXT,
    route TEXT,
    message_id TEXT,
    subject TEXT,
    author TEXT,
    author_name TEXT,
    received_at BIGINT NOT NULL
);
CREATE INDEX email_by_time ON email (account, received_at, id);

-- The answer that a mail got, so that the same mail gets it again.
CREATE TABLE seen (
    account TEXT NOT NULL,
    event_key TEXT NOT NULL,
    email_id TEXT NOT NULL,
    reply_code BIGINT NOT NULL,
    reply_text TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (account, event_key)
);

CREATE TABLE run (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    email_id TEXT NOT NULL REFERENCES email (id),
    worker TEXT NOT NULL,
    state TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    error TEXT,
    log TEXT NOT NULL
);
CREATE INDEX run_of_email ON run (email_id, started_at);

CREATE TABLE effect (
    run_id TEXT NOT NULL REFERENCES run (id),
    ordinal BIGINT NOT NULL,
    kind TEXT NOT NULL,
    sent_id TEXT,
    detail TEXT NOT NULL,
    PRIMARY KEY (run_id, ordinal)
);

CREATE TABLE sent (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    email_id TEXT,
    run_id TEXT,
    policy TEXT NOT NULL,
    reverse_path TEXT,
    author TEXT NOT NULL,
    message_id TEXT NOT NULL,
    subject TEXT NOT NULL,
    raw_id TEXT NOT NULL REFERENCES raw (id),
    raw_size BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX sent_by_message_id ON sent (account, message_id);
CREATE INDEX sent_of_email ON sent (email_id) WHERE email_id IS NOT NULL;
CREATE INDEX sent_in_thread ON sent (account, policy, thread_id, created_at);

-- account, policy, correspondent and created_at repeat what the sent message says, for the budgets.
CREATE TABLE delivery (
    sent_id TEXT NOT NULL REFERENCES sent (id),
    forward_path TEXT NOT NULL,
    status TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    last_reply TEXT,
    uncertain SMALLINT NOT NULL,
    updated_at BIGINT NOT NULL,
    account TEXT NOT NULL,
    policy TEXT NOT NULL,
    correspondent TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (sent_id, forward_path)
);
CREATE INDEX delivery_to_correspondent ON delivery (account, policy, correspondent, created_at);

-- position is the order in which events were written: several of them share one instant.
CREATE TABLE event (
    position INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    account TEXT NOT NULL,
    kind TEXT NOT NULL,
    at BIGINT NOT NULL,
    email_id TEXT,
    sent_id TEXT,
    run_id TEXT,
    evidence TEXT NOT NULL
);
CREATE INDEX event_of_email ON event (email_id) WHERE email_id IS NOT NULL;
CREATE INDEX event_of_sent ON event (sent_id) WHERE sent_id IS NOT NULL;
CREATE INDEX event_of_account ON event (account, position);

CREATE TABLE job (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    kind TEXT NOT NULL,
    lane TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    payload TEXT NOT NULL,
    state TEXT NOT NULL,
    due_at BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    owner TEXT,
    lease_until BIGINT,
    created_at BIGINT NOT NULL,
    interrupted SMALLINT NOT NULL
);
CREATE INDEX job_ready ON job (lane, due_at, id) WHERE state = 'ready';
CREATE INDEX job_leased ON job (lane) WHERE state = 'leased';
CREATE INDEX job_lease ON job (lease_until) WHERE state = 'leased';
CREATE INDEX job_dead ON job (account, created_at) WHERE state = 'dead';

-- head_at is the earliest due time of the lane's ready jobs, null when it has none. Whoever claims
-- looks at lanes and never at a backlog, so that a long lane costs no more than a short one.
CREATE TABLE lane (
    lane TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    head_at BIGINT,
    backing_off_until BIGINT NOT NULL DEFAULT 0,
    open_at BIGINT GENERATED ALWAYS AS (
        CASE
            WHEN head_at > backing_off_until THEN head_at
            WHEN head_at <= backing_off_until THEN backing_off_until
        END
    ) STORED
);
CREATE INDEX lane_open ON lane (kind, open_at);
