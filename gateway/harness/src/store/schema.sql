CREATE TABLE IF NOT EXISTS harness_replicas (
    replica TEXT PRIMARY KEY,
    expires_at_ns BIGINT NOT NULL,
    writes BIGINT NOT NULL,
    dead BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS harness_turns (
    turn_id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    text TEXT NOT NULL,
    channel TEXT NOT NULL,
    tier TEXT NOT NULL,
    started_at_ns BIGINT NOT NULL,
    ended_at_ns BIGINT NOT NULL,
    state BIGINT NOT NULL,
    owner TEXT NOT NULL,
    stop BIGINT NOT NULL,
    saved BIGINT NOT NULL,
    UNIQUE (user_id, message_id)
);
CREATE UNIQUE INDEX IF NOT EXISTS harness_turns_running ON harness_turns (user_id, conversation_id) WHERE state = 1;
CREATE INDEX IF NOT EXISTS harness_turns_conversation ON harness_turns (user_id, conversation_id, turn_id);
CREATE INDEX IF NOT EXISTS harness_turns_open ON harness_turns (user_id) WHERE state < 2;
CREATE INDEX IF NOT EXISTS harness_turns_queued ON harness_turns (turn_id) WHERE state = 0;
CREATE INDEX IF NOT EXISTS harness_turns_stop ON harness_turns (owner) WHERE stop = 1;
CREATE INDEX IF NOT EXISTS harness_turns_unsaved ON harness_turns (saved) WHERE saved = 0;
CREATE INDEX IF NOT EXISTS harness_turns_ended ON harness_turns (ended_at_ns);
CREATE TABLE IF NOT EXISTS harness_log (
    turn_id TEXT NOT NULL,
    entry BIGINT NOT NULL,
    last_sequence BIGINT NOT NULL,
    events TEXT NOT NULL,
    steps TEXT NOT NULL,
    PRIMARY KEY (turn_id, entry)
);
CREATE TABLE IF NOT EXISTS harness_spend (
    user_id TEXT NOT NULL,
    day BIGINT NOT NULL,
    charge_id TEXT NOT NULL,
    micro_usd BIGINT NOT NULL,
    PRIMARY KEY (user_id, day, charge_id)
);
