"""Table: what a local Google remembers, as it lies in its store."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS accounts (
    id INTEGER PRIMARY KEY, sub TEXT NOT NULL UNIQUE,
    email TEXT NOT NULL UNIQUE COLLATE NOCASE, name TEXT NOT NULL,
    workspace INTEGER NOT NULL, gmail INTEGER NOT NULL DEFAULT 1,
    history_id INTEGER NOT NULL, history_floor INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS addresses (
    account_id INTEGER NOT NULL, email TEXT NOT NULL COLLATE NOCASE, name TEXT NOT NULL,
    reply_to TEXT NOT NULL DEFAULT '', signature TEXT NOT NULL DEFAULT '',
    is_primary INTEGER NOT NULL DEFAULT 0, is_default INTEGER NOT NULL DEFAULT 0,
    status TEXT, native INTEGER NOT NULL DEFAULT 0, treat_as_alias INTEGER NOT NULL DEFAULT 1,
    code TEXT, link TEXT UNIQUE, smtp_host TEXT, smtp_port INTEGER, smtp_security TEXT,
    PRIMARY KEY (account_id, email));
CREATE INDEX IF NOT EXISTS addresses_by_email ON addresses (email);
CREATE TABLE IF NOT EXISTS bodies (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, account_id INTEGER NOT NULL,
    thread_id TEXT NOT NULL, head BLOB NOT NULL, body_id INTEGER NOT NULL,
    body_size INTEGER NOT NULL, labels TEXT NOT NULL, history_id INTEGER NOT NULL,
    at REAL NOT NULL, message_id TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS messages_by_message_id ON messages (account_id, message_id);
CREATE INDEX IF NOT EXISTS messages_by_thread ON messages (account_id, thread_id);
CREATE TABLE IF NOT EXISTS labelled (
    account_id INTEGER NOT NULL, label TEXT NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (account_id, label, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS drafts (
    id TEXT PRIMARY KEY, account_id INTEGER NOT NULL, seq INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS drafts_by_account ON drafts (account_id, seq);
CREATE TABLE IF NOT EXISTS history (
    account_id INTEGER NOT NULL, id INTEGER NOT NULL, kind TEXT NOT NULL,
    message TEXT NOT NULL, thread TEXT NOT NULL, labels TEXT NOT NULL,
    PRIMARY KEY (account_id, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS accepted (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, account_id INTEGER NOT NULL,
    message_seq INTEGER NOT NULL, draft_id TEXT, asked_from TEXT NOT NULL, at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS accepted_by_account ON accepted (account_id, at);
CREATE TABLE IF NOT EXISTS consents (
    account_id INTEGER NOT NULL, client_id TEXT NOT NULL, scopes TEXT NOT NULL,
    PRIMARY KEY (account_id, client_id));
CREATE TABLE IF NOT EXISTS codes (
    code TEXT PRIMARY KEY, account_id INTEGER NOT NULL, client_id TEXT NOT NULL,
    redirect_uri TEXT NOT NULL, scopes TEXT NOT NULL, nonce TEXT, challenge TEXT,
    challenge_method TEXT, refreshable INTEGER NOT NULL, expires REAL NOT NULL, grant_id INTEGER);
CREATE TABLE IF NOT EXISTS grants (
    id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL, client_id TEXT NOT NULL,
    scopes TEXT NOT NULL, refresh_token TEXT UNIQUE, at REAL NOT NULL, used REAL NOT NULL,
    expires REAL, dead TEXT);
CREATE TABLE IF NOT EXISTS access_tokens (
    token TEXT PRIMARY KEY, grant_id INTEGER NOT NULL, expires REAL NOT NULL);
CREATE TABLE IF NOT EXISTS undeliverable (
    email TEXT PRIMARY KEY COLLATE NOCASE, status TEXT NOT NULL, diagnostic TEXT NOT NULL);
"""
MAIL_TABLES = ("messages", "bodies", "labelled", "drafts", "history", "accepted")
ALL_TABLES = (*MAIL_TABLES, "accounts", "addresses", "consents", "codes", "grants",
              "access_tokens", "undeliverable")  # fmt: skip
