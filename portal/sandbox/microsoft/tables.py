"""Table: what a local Microsoft remembers, as it lies in its store."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS tenants (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, domain TEXT NOT NULL UNIQUE COLLATE NOCASE,
    consumers INTEGER NOT NULL DEFAULT 0, users_consent INTEGER NOT NULL DEFAULT 1,
    send_from_alias INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS accounts (
    id INTEGER PRIMARY KEY, oid TEXT NOT NULL UNIQUE, tenant_id TEXT NOT NULL,
    email TEXT NOT NULL UNIQUE COLLATE NOCASE, name TEXT NOT NULL,
    admin INTEGER NOT NULL DEFAULT 0, mailbox INTEGER NOT NULL DEFAULT 1,
    shared INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS aliases (
    email TEXT PRIMARY KEY COLLATE NOCASE, account_id INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS rights (
    mailbox_id INTEGER NOT NULL, account_id INTEGER NOT NULL, kind TEXT NOT NULL,
    PRIMARY KEY (mailbox_id, account_id, kind)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS bodies (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS items (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, account_id INTEGER NOT NULL,
    immutable_id TEXT NOT NULL UNIQUE, rest_id TEXT NOT NULL UNIQUE, folder TEXT NOT NULL,
    head BLOB NOT NULL, body_id INTEGER NOT NULL, body_size INTEGER NOT NULL,
    preview TEXT NOT NULL, draft INTEGER NOT NULL, read INTEGER NOT NULL,
    conversation_id TEXT NOT NULL, internet_id TEXT NOT NULL, subject TEXT NOT NULL,
    sender TEXT NOT NULL COLLATE NOCASE,
    attachments INTEGER NOT NULL, created REAL NOT NULL, modified REAL NOT NULL,
    sent REAL NOT NULL, received REAL NOT NULL, change INTEGER NOT NULL,
    extras TEXT NOT NULL DEFAULT '{}', leaves REAL, kept INTEGER NOT NULL DEFAULT 1);
CREATE INDEX IF NOT EXISTS items_by_folder ON items (account_id, folder, seq);
CREATE INDEX IF NOT EXISTS items_by_internet_id ON items (account_id, internet_id);
CREATE INDEX IF NOT EXISTS items_leaving ON items (leaves) WHERE leaves IS NOT NULL;
CREATE TABLE IF NOT EXISTS placed (
    number INTEGER PRIMARY KEY AUTOINCREMENT, account_id INTEGER NOT NULL, folder TEXT NOT NULL,
    seq INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS placed_by_folder ON placed (account_id, folder, number);
CREATE TABLE IF NOT EXISTS uploads (
    id TEXT PRIMARY KEY, token TEXT NOT NULL, immutable_id TEXT NOT NULL, account_id INTEGER,
    name TEXT NOT NULL, kind TEXT NOT NULL, size INTEGER NOT NULL, content_id TEXT,
    bytes BLOB NOT NULL, expires REAL NOT NULL);
CREATE TABLE IF NOT EXISTS accepted (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, account_id INTEGER NOT NULL, asker_id INTEGER NOT NULL,
    immutable_id TEXT NOT NULL, asked_from TEXT NOT NULL, head BLOB NOT NULL,
    body_id INTEGER NOT NULL, recipients INTEGER NOT NULL, at REAL NOT NULL, left_at REAL);
CREATE INDEX IF NOT EXISTS accepted_by_account ON accepted (account_id, at);
CREATE TABLE IF NOT EXISTS consents (
    account_id INTEGER NOT NULL, client_id TEXT NOT NULL, scopes TEXT NOT NULL,
    PRIMARY KEY (account_id, client_id));
CREATE TABLE IF NOT EXISTS tenant_consents (
    tenant_id TEXT NOT NULL, client_id TEXT NOT NULL, scopes TEXT NOT NULL,
    PRIMARY KEY (tenant_id, client_id));
CREATE TABLE IF NOT EXISTS codes (
    code TEXT PRIMARY KEY, account_id INTEGER NOT NULL, client_id TEXT NOT NULL,
    redirect_uri TEXT NOT NULL, scopes TEXT NOT NULL, nonce TEXT, challenge TEXT,
    challenge_method TEXT, expires REAL NOT NULL, used INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS grants (
    id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL, client_id TEXT NOT NULL,
    scopes TEXT NOT NULL, at REAL NOT NULL, dead INTEGER, dead_at REAL);
CREATE TABLE IF NOT EXISTS refresh_tokens (
    token TEXT PRIMARY KEY, grant_id INTEGER NOT NULL, issued REAL NOT NULL);
CREATE TABLE IF NOT EXISTS access_tokens (
    token TEXT PRIMARY KEY, grant_id INTEGER NOT NULL, expires REAL NOT NULL);
CREATE TABLE IF NOT EXISTS undeliverable (
    email TEXT PRIMARY KEY COLLATE NOCASE, status TEXT NOT NULL, diagnostic TEXT NOT NULL);
"""
MAIL_TABLES = ("items", "placed", "bodies", "uploads", "accepted")
ALL_TABLES = (*MAIL_TABLES, "tenants", "accounts", "aliases", "rights", "consents",
              "tenant_consents", "codes", "grants", "refresh_tokens", "access_tokens",
              "undeliverable")  # fmt: skip
