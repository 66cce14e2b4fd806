-- What the gateway knows of the events of its users. One schema for SQLite and PostgreSQL; BYTEA reads BLOB in SQLite.

-- One row a user: how far it was counted, read and delivered, and which replica delivers now.
CREATE TABLE inboxes (
    user_id TEXT NOT NULL PRIMARY KEY,
    last_number BIGINT NOT NULL,
    read_number BIGINT NOT NULL,
    -- When its deliveries are to be looked at next; the greatest BIGINT if nothing is pending.
    due_ns BIGINT NOT NULL,
    claimed_by TEXT NOT NULL,
    claimed_until_ns BIGINT NOT NULL
);
CREATE INDEX inboxes_due ON inboxes (due_ns) WHERE due_ns < 9223372036854775807;

-- What the receiver knows of each outbox (docs/protocol/07-user-events.md); the ids of its newest events are below.
CREATE TABLE streams (
    user_id TEXT NOT NULL,
    outbox_id TEXT NOT NULL,
    next_sequence BIGINT NOT NULL,
    PRIMARY KEY (user_id, outbox_id)
);

-- Sequences that no notification stands for, and why.
CREATE TABLE stream_gaps (
    user_id TEXT NOT NULL,
    outbox_id TEXT NOT NULL,
    from_sequence BIGINT NOT NULL,
    to_sequence BIGINT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    recorded_at_ns BIGINT NOT NULL,
    PRIMARY KEY (user_id, outbox_id, from_sequence)
);

CREATE TABLE notifications (
    user_id TEXT NOT NULL,
    number BIGINT NOT NULL,
    event_id TEXT NOT NULL,
    outbox_id TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    kind TEXT NOT NULL,
    created_at_ns BIGINT NOT NULL,
    expires_at_ns BIGINT NOT NULL,
    recorded_at_ns BIGINT NOT NULL,
    payload BYTEA NOT NULL,
    -- 0 pending, 1 delivered, 2 kept, 3 dead, 4 expired.
    state BIGINT NOT NULL,
    channel TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    due_ns BIGINT NOT NULL,
    settled_at_ns BIGINT NOT NULL,
    PRIMARY KEY (user_id, number),
    UNIQUE (user_id, event_id)
);
CREATE INDEX notifications_pending ON notifications (user_id, attempts, number) WHERE state = 0;
CREATE INDEX notifications_dead ON notifications (user_id) WHERE state = 3;

CREATE TABLE preferences (
    user_id TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL,
    webhook_secret TEXT NOT NULL,
    updated_at_ns BIGINT NOT NULL
);

-- Which replica has open sessions of whom.
CREATE TABLE presence (
    user_id TEXT NOT NULL,
    replica TEXT NOT NULL,
    until_ns BIGINT NOT NULL,
    PRIMARY KEY (user_id, replica)
);
