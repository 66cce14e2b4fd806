CREATE TABLE conversations (
    id TEXT PRIMARY KEY,
    channel TEXT NOT NULL,
    created_ns INTEGER NOT NULL,
    last_ns INTEGER NOT NULL,
    messages INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX conversations_by_time ON conversations (last_ns DESC);

CREATE TABLE messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    conversation_id TEXT NOT NULL REFERENCES conversations (id),
    role TEXT NOT NULL,
    content TEXT NOT NULL,
    channel TEXT NOT NULL,
    at_ns INTEGER NOT NULL,
    metadata TEXT,
    command_id TEXT UNIQUE
);
CREATE INDEX messages_by_conversation ON messages (conversation_id, seq);

CREATE VIRTUAL TABLE messages_words USING fts5(
    content, content = 'messages', content_rowid = 'seq', tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3'
);
CREATE TRIGGER messages_words_insert AFTER INSERT ON messages BEGIN
    INSERT INTO messages_words (rowid, content) VALUES (new.seq, new.content);
END;

-- Derived data: which embedder made the vectors, and one vector a message, a signed byte for each dimension.
CREATE TABLE embedder (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    id TEXT NOT NULL,
    dimensions INTEGER NOT NULL
);
CREATE TABLE embeddings (
    seq INTEGER PRIMARY KEY REFERENCES messages (seq),
    vector BLOB NOT NULL
);

CREATE TABLE summaries (
    conversation_id TEXT PRIMARY KEY REFERENCES conversations (id),
    through_seq INTEGER NOT NULL,
    text TEXT NOT NULL
) WITHOUT ROWID;
