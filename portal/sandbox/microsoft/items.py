"""Item: one message in one mailbox, in a folder, under two ids.

The ordinary id changes whenever the item moves, as it does when it is sent; the immutable id stays.
"""

from __future__ import annotations

import html
import json
import secrets
import sqlite3
from dataclasses import dataclass
from email import message_from_bytes
from typing import Any

from portal.sandbox import letters, mime
from portal.sandbox.microsoft.directory import Account
from portal.sandbox.mime import Head
from portal.sandbox.store import Store

FOLDERS = {
    "inbox": "Inbox",
    "drafts": "Drafts",
    "sentitems": "Sent Items",
    "deleteditems": "Deleted Items",
    "outbox": "Outbox",
}
PREVIEW = 255


@dataclass(frozen=True, slots=True)
class Item:
    seq: int
    account_id: int
    immutable_id: str
    rest_id: str
    folder: str
    head_bytes: bytes
    body_id: int
    body_size: int
    preview: str
    draft: bool
    read: bool
    conversation_id: str
    internet_id: str
    attachments: int
    created: float
    modified: float
    sent: float
    received: float
    change: int
    #: What the caller keeps beside the mail: extended properties, categories, importance.
    extras: dict[str, Any]
    #: When it will leave, for what was handed over and is still on its way.
    leaves: float | None
    #: Whether a copy stays in Sent Items.
    kept: bool

    @property
    def head(self) -> Head:
        return Head.parse(self.head_bytes)

    @property
    def at(self) -> float:
        return self.received

    @property
    def size(self) -> int:
        return len(self.head_bytes) + 2 + self.body_size


def put(
    store: Store,
    account: Account,
    raw: bytes,
    at: float,
    *,
    folder: str = "drafts",
    read: bool = True,
    extras: dict[str, Any] | None = None,
    body_id: int | None = None,
) -> Item:
    """body_id: an equal body that lies in the store already."""
    draft = folder in ("drafts", "outbox")
    immutable_id = f"AAkALgAA{secrets.token_urlsafe(54)}="
    with store.transaction():
        seq = store.insert(
            "items",
            account_id=account.id,
            immutable_id=immutable_id,
            rest_id=_new_rest_id(),
            folder=folder,
            draft=int(draft),
            read=int(read),
            created=at,
            modified=at,
            sent=at,
            received=at,
            change=1,
            extras=json.dumps(extras or {}),
            conversation_id="",
            **_told_by(raw, store, body_id, None),
        )
        _join_conversation(store, seq, account)
        store.insert("placed", account_id=account.id, folder=folder, seq=seq)
    return _by_seq(store, seq)


def rewrite(store: Store, item: Item, raw: bytes, at: float) -> Item:
    """Other bytes in the same item, as when a draft is changed."""
    told = _told_by(raw, store, None, item.internet_id)
    settings = ", ".join(f"{name} = ?" for name in told)
    store.run(
        f"UPDATE items SET {settings}, modified = ?, change = change + 1 WHERE seq = ?",
        *(*told.values(), at, item.seq),
    )
    return _by_seq(store, item.seq)


def note(store: Store, item: Item, at: float, *, read: bool, extras: dict[str, Any]) -> Item:
    store.run(
        "UPDATE items SET read = ?, extras = ?, modified = ?, change = change + 1 WHERE seq = ?",
        *(int(read), json.dumps(extras), at, item.seq),
    )
    return _by_seq(store, item.seq)


def move(store: Store, item: Item, folder: str, at: float, *, new_immutable: bool = False) -> Item:
    """To another folder, under a new ordinary id."""
    immutable_id = f"AAkALgAA{secrets.token_urlsafe(54)}=" if new_immutable else item.immutable_id
    store.run(
        "UPDATE items SET folder = ?, rest_id = ?, immutable_id = ?, modified = ?,"
        " change = change + 1 WHERE seq = ?",
        *(folder, _new_rest_id(), immutable_id, at, item.seq),
    )
    store.insert("placed", account_id=item.account_id, folder=folder, seq=item.seq)
    return _by_seq(store, item.seq)


def left(store: Store, item: Item, at: float) -> None:
    """It has been sent: a draft no more."""
    store.run(
        "UPDATE items SET draft = 0, leaves = NULL, sent = ?, received = ?, modified = ?"
        " WHERE seq = ?",
        *(at, at, at, item.seq),
    )


def remove(store: Store, item: Item) -> None:
    store.run("DELETE FROM items WHERE seq = ?", item.seq)


def find(store: Store, account_id: int, item_id: str, *, immutable: bool) -> Item | None:
    """immutable: whether the caller speaks in immutable ids; only then is one understood."""
    ids = "immutable_id = ? OR rest_id = ?" if immutable else "rest_id = ? OR rest_id = ?"
    row = store.row(
        f"SELECT * FROM items WHERE account_id = ? AND ({ids})", account_id, item_id, item_id
    )
    return None if row is None else _item(row)


def by_immutable_id(store: Store, immutable_id: str) -> Item | None:
    row = store.row("SELECT * FROM items WHERE immutable_id = ?", immutable_id)
    return None if row is None else _item(row)


def by_any_id(store: Store, item_id: str) -> Item | None:
    """As a link names it."""
    sql = "SELECT * FROM items WHERE immutable_id = ? OR rest_id = ?"
    row = store.row(sql, item_id, item_id)
    return None if row is None else _item(row)


def leaving(store: Store, now: float) -> list[Item]:
    sql = "SELECT * FROM items WHERE leaves IS NOT NULL AND leaves <= ? ORDER BY leaves, seq"
    return [_item(row) for row in store.rows(sql, now)]


def page(
    store: Store,
    account_id: int,
    folder: str | None,
    *,
    where: str = "1",
    values: tuple[Any, ...] = (),
    order: str = "received DESC, seq DESC",
    skip: int = 0,
    limit: int,
) -> list[Item]:
    """folder: None for all but the outbox."""
    place = "folder = ?" if folder else "folder <> ?"
    rows = store.rows(
        f"SELECT * FROM items WHERE account_id = ? AND {place} AND {where}"
        f" ORDER BY {order} LIMIT ? OFFSET ?",
        *(account_id, folder or "outbox", *values, limit, skip),
    )
    return [_item(row) for row in rows]


def lying(
    store: Store, account_id: int, folder: str, after: int, since: float, limit: int
) -> list[Item]:
    """What lies in a folder and was received since, the oldest item first; after: the last known.

    Times are compared in whole seconds, as they are shown.
    """
    rows = store.rows(
        "SELECT * FROM items WHERE account_id = ? AND folder = ? AND seq > ?"
        " AND CAST(received AS INTEGER) >= ? ORDER BY seq LIMIT ?",
        *(account_id, folder, after, since, limit),
    )
    return [_item(row) for row in rows]


def placed(
    store: Store, account_id: int, folder: str, after: int, limit: int
) -> list[tuple[int, Item | None]]:
    """What was put into a folder since, each with its number; None for what lies there no more."""
    rows = store.rows(
        "SELECT number, seq FROM placed WHERE account_id = ? AND folder = ? AND number > ?"
        " ORDER BY number LIMIT ?",
        *(account_id, folder, after, limit),
    )
    there = "SELECT * FROM items WHERE seq = ? AND folder = ?"
    found = [(int(row["number"]), store.row(there, row["seq"], folder)) for row in rows]
    return [(number, None if row is None else _item(row)) for number, row in found]


def last_placed(store: Store, account_id: int, folder: str) -> int:
    sql = "SELECT COALESCE(MAX(number), 0) FROM placed WHERE account_id = ? AND folder = ?"
    return int(store.value(sql, account_id, folder))


def count(store: Store, account_id: int, folder: str, *, unread: bool = False) -> int:
    sql = "SELECT COUNT(*) FROM items WHERE account_id = ? AND folder = ? AND (NOT ? OR NOT read)"
    return int(store.value(sql, account_id, folder, int(unread)))


def folder_id(account: Account, folder: str) -> str:
    """Folders keep their ids; each has a well-known name besides."""
    place = list(FOLDERS).index(folder)
    return f"AQMkADAw{account.oid.replace('-', '')}AAAAAA{place:03d}AAAA="


def folder_named(account: Account, name: str) -> str | None:
    known = {folder_id(account, folder): folder for folder in FOLDERS}
    return known.get(name) or (name.lower() if name.lower() in FOLDERS else None)


def body(store: Store, item: Item) -> bytes:
    data: bytes = store.value("SELECT bytes FROM bodies WHERE id = ?", item.body_id) or b""
    return data


def raw(store: Store, item: Item) -> bytes:
    return item.head_bytes + b"\r\n" + body(store, item)


def _by_seq(store: Store, seq: int) -> Item:
    row = store.row("SELECT * FROM items WHERE seq = ?", seq)
    assert row is not None
    return _item(row)


def _told_by(
    raw: bytes, store: Store, body_id: int | None, internet_id: str | None
) -> dict[str, Any]:
    head_bytes, body_bytes = mime.split(raw)
    head = Head.parse(head_bytes)
    known = internet_id or head.raw("Message-ID") or ""
    head.set("Message-ID", known)
    sender = head.addresses("From")
    return {
        "head": head.bytes(),
        "body_id": body_id or store.insert("bodies", bytes=body_bytes),
        "body_size": len(body_bytes),
        "preview": html.unescape(mime.snippet(head.bytes(), body_bytes))[:PREVIEW],
        "internet_id": known,
        "subject": head.text("Subject"),
        "sender": sender[0] if sender else "",
        "attachments": len(letters.attachments(message_from_bytes(raw))),
    }


def _join_conversation(store: Store, seq: int, account: Account) -> None:
    item = _by_seq(store, seq)
    named = f"{item.head.raw('References') or ''} {item.head.raw('In-Reply-To') or ''}".split()
    earlier = None
    for reference in reversed(named):
        earlier = earlier or store.value(
            "SELECT conversation_id FROM items WHERE account_id = ? AND internet_id = ? LIMIT 1",
            *(account.id, reference),
        )
    found = earlier or f"AAQkADAw{secrets.token_urlsafe(30)}AQA="
    store.run("UPDATE items SET conversation_id = ? WHERE seq = ?", found, seq)


def _new_rest_id() -> str:
    return f"AAMkADAw{secrets.token_urlsafe(102)}AAA="


def _item(row: sqlite3.Row) -> Item:
    return Item(
        seq=row["seq"],
        account_id=row["account_id"],
        immutable_id=row["immutable_id"],
        rest_id=row["rest_id"],
        folder=row["folder"],
        head_bytes=row["head"],
        body_id=row["body_id"],
        body_size=row["body_size"],
        preview=row["preview"],
        draft=bool(row["draft"]),
        read=bool(row["read"]),
        conversation_id=row["conversation_id"],
        internet_id=row["internet_id"],
        attachments=row["attachments"],
        created=row["created"],
        modified=row["modified"],
        sent=row["sent"],
        received=row["received"],
        change=row["change"],
        extras=json.loads(row["extras"]),
        leaves=row["leaves"],
        kept=bool(row["kept"]),
    )
