"""Directory: the tenants, their accounts and shared mailboxes, and who may send as whom."""

from __future__ import annotations

import sqlite3
import uuid
from dataclasses import dataclass

from portal.sandbox.store import Store

#: The one tenant of all personal accounts, at Microsoft as here.
CONSUMERS = "9188040d-6c67-4c5b-b112-36a304b66dad"
BRIGHT_SPARK = "b5a1c0de-0000-4000-8000-000000000365"
COPPER_CO = "c0ffe5c0-0000-4000-8000-000000000403"
TENANTS = (
    (BRIGHT_SPARK, "Bright Spark Plumbing", "brightspark.example", True),
    (COPPER_CO, "Copper & Co", "copperco.example", False),
    (CONSUMERS, "Personal accounts", "", True),
)
PEOPLE = (
    ("office@brightspark.example", "Bright Spark Plumbing"),
    ("tom@brightspark.example", "Tom Baker"),
    ("nia@brightspark.example", "Nia Cole"),
    ("olive@brightspark.example", "Olive Park"),
    ("orders@copperco.example", "Copper & Co Orders"),
    ("it@copperco.example", "Copper & Co IT"),
    ("mary.lee@homes.example", "Mary Lee"),
    ("max@elsewhere.example", "Max Stone"),
)
ADMINS = ("olive@brightspark.example", "it@copperco.example")
SHARED = ("accounts@brightspark.example", "Bright Spark Accounts")
WITHOUT_MAILBOX = ("apprentice@brightspark.example", "Sam Apprentice")
ALIASES = (
    ("quotes@brightspark.example", "office@brightspark.example"),
    ("olive.park@brightspark.example", "olive@brightspark.example"),
)
RIGHTS = (
    ("olive@brightspark.example", "send_as"),
    ("olive@brightspark.example", "full_access"),
    ("office@brightspark.example", "send_as"),
    ("office@brightspark.example", "full_access"),
    ("tom@brightspark.example", "send_on_behalf"),
)
KINDS_OF_RIGHT = ("send_as", "send_on_behalf", "full_access")


@dataclass(frozen=True, slots=True)
class Tenant:
    id: str
    name: str
    domain: str
    consumers: bool
    #: Whether its people may consent to apps themselves, or an administrator has to.
    users_consent: bool
    #: SendFromAliasEnabled, which is off unless an administrator turns it on.
    send_from_alias: bool


@dataclass(frozen=True, slots=True)
class Account:
    id: int
    oid: str
    tenant_id: str
    email: str
    name: str
    admin: bool
    mailbox: bool
    shared: bool

    @property
    def domain(self) -> str:
        return self.email.rpartition("@")[2].lower()


def tenants(store: Store) -> list[Tenant]:
    return [_tenant(row) for row in store.rows("SELECT * FROM tenants ORDER BY rowid")]


def tenant(store: Store, name: str) -> Tenant | None:
    """A tenant by its id or its domain."""
    row = store.row("SELECT * FROM tenants WHERE id = ? OR (domain = ? AND ? <> '')", *[name] * 3)
    return None if row is None else _tenant(row)


def tenant_of(store: Store, account: Account) -> Tenant:
    found = tenant(store, account.tenant_id)
    assert found is not None
    return found


def add_tenant(
    store: Store, tenant_id: str, name: str, domain: str, *, users_consent: bool = True
) -> Tenant:
    consumers = int(tenant_id == CONSUMERS)
    store.insert(
        "tenants",
        id=tenant_id,
        name=name,
        domain=domain,
        consumers=consumers,
        users_consent=int(users_consent),
    )
    found = tenant(store, tenant_id)
    assert found is not None
    return found


def every(store: Store) -> list[Account]:
    return [_account(row) for row in store.rows("SELECT * FROM accounts ORDER BY id")]


def by_id(store: Store, account_id: int) -> Account:
    row = store.row("SELECT * FROM accounts WHERE id = ?", account_id)
    assert row is not None
    return _account(row)


def by_name(store: Store, name: str) -> Account | None:
    """An account by its user principal name or its object id, as addresses of Graph name it."""
    row = store.row("SELECT * FROM accounts WHERE email = ? OR oid = ?", name.strip(), name)
    return None if row is None else _account(row)


def receiving(store: Store, email: str) -> Account | None:
    """The account whose mail this address is, its own or an alias."""
    account = by_name(store, email)
    if account is None:
        owner = store.value("SELECT account_id FROM aliases WHERE email = ?", email.strip())
        account = None if owner is None else by_id(store, owner)
    return account


def add(
    store: Store,
    email: str,
    name: str,
    *,
    admin: bool = False,
    mailbox: bool = True,
    shared: bool = False,
) -> Account:
    """Into the tenant of its domain, or among the personal accounts where there is none."""
    home = tenant(store, email.rpartition("@")[2])
    account_id = store.insert(
        "accounts",
        oid=str(uuid.uuid4()),
        tenant_id=home.id if home else CONSUMERS,
        email=email.strip(),
        name=name.strip(),
        admin=int(admin),
        mailbox=int(mailbox),
        shared=int(shared),
    )
    return by_id(store, account_id)


def aliases(store: Store, account: Account) -> list[str]:
    sql = "SELECT email FROM aliases WHERE account_id = ? ORDER BY email"
    return [str(row[0]) for row in store.rows(sql, account.id)]


def put_alias(store: Store, account: Account, email: str) -> None:
    store.run(
        "INSERT OR REPLACE INTO aliases (email, account_id) VALUES (?, ?)",
        *(email.strip(), account.id),
    )


def may(store: Store, account: Account, kind: str, mailbox: Account) -> bool:
    sql = "SELECT 1 FROM rights WHERE mailbox_id = ? AND account_id = ? AND kind = ?"
    return store.value(sql, mailbox.id, account.id, kind) is not None


def allow(store: Store, account: Account, kind: str, mailbox: Account, *, given: bool) -> None:
    if kind not in KINDS_OF_RIGHT:
        raise ValueError(f"{kind}: one of {', '.join(KINDS_OF_RIGHT)}")
    sql = "DELETE FROM rights WHERE mailbox_id = ? AND account_id = ? AND kind = ?"
    store.run(sql, mailbox.id, account.id, kind)
    if given:
        store.insert("rights", mailbox_id=mailbox.id, account_id=account.id, kind=kind)


def rights(store: Store, mailbox: Account) -> list[tuple[str, str]]:
    """Who has which right in this mailbox."""
    rows = store.rows(
        "SELECT a.email, r.kind FROM rights r JOIN accounts a ON a.id = r.account_id"
        " WHERE r.mailbox_id = ? ORDER BY a.id, r.kind",
        mailbox.id,
    )
    return [(row["email"], row["kind"]) for row in rows]


def seed(store: Store) -> None:
    with store.transaction():
        for tenant_id, name, domain, users_consent in TENANTS:
            add_tenant(store, tenant_id, name, domain, users_consent=users_consent)
        for email, name in PEOPLE:
            add(store, email, name, admin=email in ADMINS)
        shared = add(store, *SHARED, shared=True)
        add(store, *WITHOUT_MAILBOX, mailbox=False)
        for alias, email in ALIASES:
            put_alias(store, _known(store, email), alias)
        for email, kind in RIGHTS:
            allow(store, _known(store, email), kind, shared, given=True)


def _known(store: Store, email: str) -> Account:
    account = by_name(store, email)
    assert account is not None
    return account


def _tenant(row: sqlite3.Row) -> Tenant:
    return Tenant(
        id=row["id"],
        name=row["name"],
        domain=row["domain"],
        consumers=bool(row["consumers"]),
        users_consent=bool(row["users_consent"]),
        send_from_alias=bool(row["send_from_alias"]),
    )


def _account(row: sqlite3.Row) -> Account:
    return Account(
        id=row["id"],
        oid=row["oid"],
        tenant_id=row["tenant_id"],
        email=row["email"],
        name=row["name"],
        admin=bool(row["admin"]),
        mailbox=bool(row["mailbox"]),
        shared=bool(row["shared"]),
    )
