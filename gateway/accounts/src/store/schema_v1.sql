-- Accounts, version 1: what SQLite and PostgreSQL read alike. Times are nanoseconds since 1970, secrets are digests only.
CREATE TABLE accounts_users (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  role TEXT NOT NULL,
  tier TEXT NOT NULL,
  password TEXT,
  disabled BIGINT NOT NULL DEFAULT 0,
  created_ns BIGINT NOT NULL,
  expires_ns BIGINT,
  disclaimer TEXT,
  totp TEXT,
  totp_confirmed BIGINT NOT NULL DEFAULT 0,
  totp_step BIGINT NOT NULL DEFAULT 0,
  telegram_id BIGINT UNIQUE,
  telegram_name TEXT
);
CREATE TABLE accounts_sessions (
  id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES accounts_users (id) ON DELETE CASCADE,
  created_ns BIGINT NOT NULL,
  last_used_ns BIGINT NOT NULL,
  expires_ns BIGINT NOT NULL,
  ended_ns BIGINT,
  client TEXT NOT NULL,
  address TEXT NOT NULL,
  generation BIGINT NOT NULL DEFAULT 0,
  spent TEXT NOT NULL DEFAULT '',
  spent_ns BIGINT NOT NULL DEFAULT 0,
  repeats BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX accounts_sessions_user ON accounts_sessions (user_id);
CREATE INDEX accounts_sessions_expiry ON accounts_sessions (expires_ns);
CREATE TABLE accounts_refresh_tokens (
  digest TEXT PRIMARY KEY,
  session_id TEXT NOT NULL REFERENCES accounts_sessions (id) ON DELETE CASCADE,
  generation BIGINT NOT NULL
);
CREATE INDEX accounts_refresh_tokens_session ON accounts_refresh_tokens (session_id, generation);
CREATE TABLE accounts_api_keys (
  id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES accounts_users (id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  digest TEXT NOT NULL,
  scopes TEXT NOT NULL,
  created_ns BIGINT NOT NULL,
  expires_ns BIGINT,
  last_used_ns BIGINT,
  revoked_ns BIGINT
);
CREATE INDEX accounts_api_keys_user ON accounts_api_keys (user_id);
CREATE TABLE accounts_single_use (
  digest TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  user_id TEXT REFERENCES accounts_users (id) ON DELETE CASCADE,
  session_id TEXT,
  expires_ns BIGINT NOT NULL,
  used_ns BIGINT
);
CREATE INDEX accounts_single_use_user ON accounts_single_use (user_id, kind);
CREATE INDEX accounts_single_use_expiry ON accounts_single_use (expires_ns);
CREATE TABLE accounts_guesses (
  subject TEXT PRIMARY KEY,
  failures BIGINT NOT NULL,
  until_ns BIGINT NOT NULL,
  updated_ns BIGINT NOT NULL
);
CREATE INDEX accounts_guesses_age ON accounts_guesses (updated_ns);
CREATE TABLE accounts_audit (
  position BIGINT PRIMARY KEY,
  at_ns BIGINT NOT NULL,
  event TEXT NOT NULL,
  outcome TEXT NOT NULL,
  user_id TEXT NOT NULL,
  by_id TEXT NOT NULL,
  salt TEXT,
  name TEXT,
  address TEXT,
  commitment TEXT NOT NULL,
  previous TEXT NOT NULL,
  hash TEXT NOT NULL
);
CREATE INDEX accounts_audit_user ON accounts_audit (user_id, position);
CREATE TABLE accounts_audit_head (
  id BIGINT PRIMARY KEY,
  position BIGINT NOT NULL,
  hash TEXT NOT NULL
);
INSERT INTO accounts_audit_head (id, position, hash) VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');
CREATE TABLE accounts_locks (
  name TEXT PRIMARY KEY,
  taken BIGINT NOT NULL
);
INSERT INTO accounts_locks (name, taken) VALUES ('admins', 0);
INSERT INTO accounts_locks (name, taken) VALUES ('anonymous', 0);
