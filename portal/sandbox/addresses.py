"""Address: one send-from address of an account, as the page "Send mail as" lists it."""

from __future__ import annotations

import secrets
import sqlite3
from dataclasses import dataclass
from typing import Any

from portal.sandbox.store import Store

MOST = 99
_SECURE = secrets.SystemRandom()


@dataclass(frozen=True, slots=True)
class Address:
    account_id: int
    email: str
    name: str
    reply_to: str
    signature: str
    is_primary: bool
    is_default: bool
    status: str | None
    native: bool
    treat_as_alias: bool
    code: str | None
    link: str | None
    smtp_host: str | None
    smtp_port: int | None
    smtp_security: str | None

    @property
    def usable(self) -> bool:
        """Google leaves the status blank for the primary and for a Workspace's own aliases."""
        return self.status != "pending"

    def resource(self) -> dict[str, Any]:
        """SendAs, as Google's API words it: false and empty values stay away from aliases."""
        resource: dict[str, Any] = {
            "sendAsEmail": self.email,
            "displayName": self.name,
            "replyToAddress": self.reply_to,
            "signature": self.signature,
        }
        if self.is_primary:
            resource["isPrimary"] = True
        if self.is_default:
            resource["isDefault"] = True
        if not self.is_primary:
            resource["treatAsAlias"] = self.treat_as_alias
        if self.status:
            resource["verificationStatus"] = self.status
        if self.smtp_host:
            resource["smtpMsa"] = {
                "host": self.smtp_host,
                "port": self.smtp_port,
                "securityMode": self.smtp_security,
            }
        return resource


def of(store: Store, account_id: int) -> list[Address]:
    rows = store.rows(
        "SELECT * FROM addresses WHERE account_id = ? ORDER BY is_primary DESC, rowid", account_id
    )
    return [_address(row) for row in rows]


def find(store: Store, account_id: int, email: str) -> Address | None:
    row = store.row(
        "SELECT * FROM addresses WHERE account_id = ? AND email = ?", account_id, email.strip()
    )
    return None if row is None else _address(row)


def by_link(store: Store, link: str) -> Address | None:
    row = store.row("SELECT * FROM addresses WHERE link = ?", link)
    return None if row is None else _address(row)


def default(store: Store, account_id: int) -> Address:
    row = store.row(
        "SELECT * FROM addresses WHERE account_id = ?"
        " ORDER BY is_default DESC, is_primary DESC LIMIT 1",
        account_id,
    )
    assert row is not None
    return _address(row)


def may_send(store: Store, account_id: int, email: str) -> bool:
    address = find(store, account_id, email)
    return address is not None and address.usable


def add_primary(store: Store, account_id: int, email: str, name: str) -> None:
    store.insert(
        "addresses",
        account_id=account_id,
        email=email,
        name=name,
        is_primary=1,
        is_default=1,
    )


def put(
    store: Store,
    account_id: int,
    email: str,
    name: str,
    *,
    status: str | None = None,
    native: bool = False,
    treat_as_alias: bool = True,
    smtp: tuple[str, int, str] | None = None,
) -> None:
    """Adds the address, or gives it a new status; a pending one gets a code and a link."""
    pending = status == "pending"
    host, port, security = smtp or (None, None, None)
    with store.transaction():
        store.run(
            "DELETE FROM addresses WHERE account_id = ? AND email = ? AND NOT is_primary",
            *(account_id, email),
        )
        store.insert(
            "addresses",
            account_id=account_id,
            email=email.strip(),
            name=name.strip(),
            status=status,
            native=int(native),
            treat_as_alias=int(treat_as_alias),
            code=_new_code() if pending else None,
            link=secrets.token_urlsafe(24) if pending else None,
            smtp_host=host,
            smtp_port=port,
            smtp_security=security,
        )


def confirm(store: Store, address: Address) -> None:
    store.run(
        "UPDATE addresses SET status = 'accepted', code = NULL, link = NULL"
        " WHERE account_id = ? AND email = ?",
        *(address.account_id, address.email),
    )


def make_default(store: Store, address: Address) -> None:
    with store.transaction():
        store.run(
            "UPDATE addresses SET is_default = (email = ?) WHERE account_id = ?",
            *(address.email, address.account_id),
        )


def describe(store: Store, address: Address, changes: dict[str, str]) -> None:
    columns = {"displayName": "name", "replyToAddress": "reply_to", "signature": "signature"}
    for field, value in changes.items():
        store.run(
            f"UPDATE addresses SET {columns[field]} = ? WHERE account_id = ? AND email = ?",
            *(value, address.account_id, address.email),
        )


def delete(store: Store, address: Address) -> None:
    """Deleting the default hands the default back to the primary address."""
    with store.transaction():
        store.run(
            "DELETE FROM addresses WHERE account_id = ? AND email = ? AND NOT is_primary",
            *(address.account_id, address.email),
        )
        if address.is_default:
            store.run(
                "UPDATE addresses SET is_default = is_primary WHERE account_id = ?",
                address.account_id,
            )


def _new_code() -> str:
    return str(_SECURE.randrange(100_000_000, 1_000_000_000))


def _address(row: sqlite3.Row) -> Address:
    return Address(
        account_id=row["account_id"],
        email=row["email"],
        name=row["name"],
        reply_to=row["reply_to"],
        signature=row["signature"],
        is_primary=bool(row["is_primary"]),
        is_default=bool(row["is_default"]),
        status=row["status"],
        native=bool(row["native"]),
        treat_as_alias=bool(row["treat_as_alias"]),
        code=row["code"],
        link=row["link"],
        smtp_host=row["smtp_host"],
        smtp_port=row["smtp_port"],
        smtp_security=row["smtp_security"],
    )
