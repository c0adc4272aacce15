"""Account: one person's or company's Google account, consumer or Workspace."""

from __future__ import annotations

import secrets
import sqlite3
from dataclasses import dataclass

from portal.sandbox import addresses
from portal.sandbox.store import Store

FIRST_HISTORY_ID = 1_000
WORKSPACE_CAST = (
    ("office@brightspark.example", "Bright Spark Plumbing"),
    ("accounts@brightspark.example", "Bright Spark Accounts"),
    ("tom@brightspark.example", "Tom Baker"),
    ("nia@brightspark.example", "Nia Cole"),
    ("olive@brightspark.example", "Olive Park"),
    ("orders@copperco.example", "Copper & Co"),
)
CONSUMER_CAST = (
    ("mary.lee@homes.example", "Mary Lee"),
    ("max@elsewhere.example", "Max Stone"),
)


@dataclass(frozen=True, slots=True)
class Account:
    id: int
    sub: str
    email: str
    name: str
    workspace: bool
    gmail: bool

    @property
    def domain(self) -> str:
        return self.email.rpartition("@")[2].lower()


def every(store: Store) -> list[Account]:
    return [_account(row) for row in store.rows("SELECT * FROM accounts ORDER BY id")]


def by_id(store: Store, account_id: int) -> Account:
    row = store.row("SELECT * FROM accounts WHERE id = ?", account_id)
    assert row is not None
    return _account(row)


def by_email(store: Store, email: str) -> Account | None:
    row = store.row("SELECT * FROM accounts WHERE email = ?", email.strip())
    return None if row is None else _account(row)


def by_hint(store: Store, hint: str) -> Account | None:
    """A login_hint is an address or a subject id."""
    row = store.row("SELECT * FROM accounts WHERE email = ? OR sub = ?", hint, hint)
    return None if row is None else _account(row)


def receiving(store: Store, email: str) -> Account | None:
    """The account whose inbox mail to this address reaches."""
    account = by_email(store, email)
    if account is None:
        owner = store.value("SELECT account_id FROM addresses WHERE email = ? AND native", email)
        account = None if owner is None else by_id(store, owner)
    return account


def add(store: Store, email: str, name: str, *, workspace: bool) -> Account:
    with store.transaction():
        account_id = store.insert(
            "accounts",
            sub="1" + "".join(secrets.choice("0123456789") for _ in range(20)),
            email=email.strip(),
            name=name.strip(),
            workspace=int(workspace),
            history_id=FIRST_HISTORY_ID,
            history_floor=FIRST_HISTORY_ID,
        )
        addresses.add_primary(store, account_id, email.strip(), name.strip())
    return by_id(store, account_id)


def seed(store: Store) -> None:
    with store.transaction():
        for email, name in WORKSPACE_CAST:
            add(store, email, name, workspace=True)
        for email, name in CONSUMER_CAST:
            add(store, email, name, workspace=False)
        office = by_email(store, "office@brightspark.example")
        olive = by_email(store, "olive@brightspark.example")
        assert office is not None and olive is not None
        addresses.put(store, office.id, "tom@brightspark.example", "Tom Baker", status="accepted")
        addresses.put(store, office.id, "quotes@brightspark.example", "Quotes", status="pending")
        addresses.put(store, olive.id, "olive.park@brightspark.example", "Olive Park", native=True)


def _account(row: sqlite3.Row) -> Account:
    return Account(
        id=row["id"],
        sub=row["sub"],
        email=row["email"],
        name=row["name"],
        workspace=bool(row["workspace"]),
        gmail=bool(row["gmail"]),
    )
