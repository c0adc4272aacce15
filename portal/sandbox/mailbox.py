"""Message: one mail in one account's mailbox, with its labels, thread and history."""

from __future__ import annotations

import random
import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from portal.sandbox.mime import Head
from portal.sandbox.store import Store

SYSTEM_LABELS = (
    "CHAT",
    "SENT",
    "INBOX",
    "IMPORTANT",
    "TRASH",
    "DRAFT",
    "SPAM",
    "CATEGORY_FORUMS",
    "CATEGORY_UPDATES",
    "CATEGORY_PERSONAL",
    "CATEGORY_PROMOTIONS",
    "CATEGORY_SOCIAL",
    "STARRED",
    "UNREAD",
)


@dataclass(frozen=True, slots=True)
class Message:
    seq: int
    id: str
    account_id: int
    thread_id: str
    head_bytes: bytes
    body_id: int
    body_size: int
    labels: tuple[str, ...]
    history_id: int
    at: float
    message_id: str

    @property
    def head(self) -> Head:
        return Head.parse(self.head_bytes)

    @property
    def size(self) -> int:
        return len(self.head_bytes) + 2 + self.body_size

    def stub(self) -> dict[str, Any]:
        return {"id": self.id, "threadId": self.thread_id}

    def brief(self) -> dict[str, Any]:
        return {**self.stub(), "labelIds": list(self.labels)}


def store_body(store: Store, body: bytes) -> int:
    return store.insert("bodies", bytes=body)


def put(
    store: Store,
    account_id: int,
    head: Head,
    body: tuple[int, int],
    labels: tuple[str, ...],
    at: float,
    *,
    thread_id: str | None = None,
) -> Message:
    """Body is its id and size: copies of one mail in several mailboxes share it."""
    message_id = head.raw("Message-ID") or ""
    local_id = _new_id(at)
    with store.transaction():
        values = {
            "id": local_id,
            "account_id": account_id,
            "thread_id": thread_id or _thread_of_references(store, account_id, head) or local_id,
            "head": head.bytes(),
            "body_id": body[0],
            "body_size": body[1],
            "labels": " ".join(labels),
            "history_id": next_history_id(store, account_id),
            "at": at,
            "message_id": message_id,
        }
        seq = store.insert("messages", **values)
        for label in labels:
            store.insert("labelled", account_id=account_id, label=label, seq=seq)
        _record(store, "messagesAdded", values)
    return _message({"seq": seq, **values})


def remove(store: Store, message: Message, *, keep_body: bool = False) -> None:
    with store.transaction():
        store.run("DELETE FROM messages WHERE seq = ?", message.seq)
        for label in message.labels:
            store.run(
                "DELETE FROM labelled WHERE account_id = ? AND label = ? AND seq = ?",
                *(message.account_id, label, message.seq),
            )
        if not keep_body:
            store.run("DELETE FROM bodies WHERE id = ?", message.body_id)
        values = {
            "id": message.id,
            "account_id": message.account_id,
            "thread_id": message.thread_id,
            "labels": " ".join(message.labels),
            "history_id": next_history_id(store, message.account_id),
        }
        _record(store, "messagesDeleted", values)


def find(store: Store, account_id: int, message_id: str) -> Message | None:
    row = store.row(
        "SELECT * FROM messages WHERE id = ? AND account_id = ?", message_id, account_id
    )
    return None if row is None else _message(row)


def by_seq(store: Store, seq: int) -> Message | None:
    row = store.row("SELECT * FROM messages WHERE seq = ?", seq)
    return None if row is None else _message(row)


def body(store: Store, message: Message) -> bytes:
    data: bytes = store.value("SELECT bytes FROM bodies WHERE id = ?", message.body_id) or b""
    return data


def raw(store: Store, message: Message) -> bytes:
    return message.head_bytes + b"\r\n" + body(store, message)


def page(
    store: Store, account_id: int, labels: Sequence[str], *, before: int, limit: int
) -> list[Message]:
    """Newest first; every label must be on the message."""
    source = "messages m"
    where = ["m.account_id = ?", "m.seq < ?"]
    values: list[Any] = [account_id, before]
    for number, label in enumerate(labels):
        alias = f"l{number}"
        source += f" JOIN labelled {alias} ON {alias}.seq = m.seq"
        where.append(f"{alias}.account_id = ? AND {alias}.label = ? AND {alias}.seq < ?")
        values += [account_id, label, before]
    order = "l0.seq" if labels else "m.seq"
    sql = f"SELECT m.* FROM {source} WHERE {' AND '.join(where)} ORDER BY {order} DESC LIMIT ?"
    return [_message(row) for row in store.rows(sql, *values, limit)]


def count(store: Store, account_id: int, label: str | None = None) -> tuple[int, int]:
    """Messages and threads."""
    if label is None:
        sql = "SELECT COUNT(*), COUNT(DISTINCT thread_id) FROM messages WHERE account_id = ?"
        row = store.row(sql, account_id)
    else:
        row = store.row(
            "SELECT COUNT(*), COUNT(DISTINCT m.thread_id) FROM labelled l"
            " JOIN messages m ON m.seq = l.seq WHERE l.account_id = ? AND l.label = ?",
            *(account_id, label),
        )
    assert row is not None
    return int(row[0]), int(row[1])


def thread_exists(store: Store, account_id: int, thread_id: str) -> bool:
    sql = "SELECT 1 FROM messages WHERE account_id = ? AND thread_id = ? LIMIT 1"
    return store.value(sql, account_id, thread_id) is not None


def history_id(store: Store, account_id: int) -> int:
    return int(store.value("SELECT history_id FROM accounts WHERE id = ?", account_id))


def next_history_id(store: Store, account_id: int) -> int:
    return int(
        store.value(
            "UPDATE accounts SET history_id = history_id + 1 WHERE id = ? RETURNING history_id",
            account_id,
        )
    )


def history_floor(store: Store, account_id: int) -> int:
    return int(store.value("SELECT history_floor FROM accounts WHERE id = ?", account_id))


def forget_history(store: Store, account_id: int) -> None:
    """Google keeps it about a week; afterwards older ids are answered with 404."""
    with store.transaction():
        store.run("DELETE FROM history WHERE account_id = ?", account_id)
        store.run("UPDATE accounts SET history_floor = history_id WHERE id = ?", account_id)


def _record(store: Store, kind: str, values: dict[str, Any]) -> None:
    store.insert(
        "history",
        account_id=values["account_id"],
        id=values["history_id"],
        kind=kind,
        message=values["id"],
        thread=values["thread_id"],
        labels=values["labels"],
    )


def _thread_of_references(store: Store, account_id: int, head: Head) -> str | None:
    named = f"{head.raw('References') or ''} {head.raw('In-Reply-To') or ''}".split()
    for reference in reversed(named):
        found = store.value(
            "SELECT thread_id FROM messages WHERE account_id = ? AND message_id = ? LIMIT 1",
            *(account_id, reference),
        )
        if found:
            return str(found)
    return None


def _new_id(at: float) -> str:
    """Sixteen hex digits that rise with time, like Google's."""
    return f"{int(at * 1000):011x}{secrets.randbits(20):05x}"[-16:]


def new_message_id() -> str:
    """What Google puts in place of the caller's own Message-ID."""
    digits = "".join(random.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=4))
    return f"<CA{secrets.token_urlsafe(28)}+{digits}@mail.gmail.com>"


def _message(row: sqlite3.Row | dict[str, Any]) -> Message:
    return Message(
        seq=row["seq"],
        id=row["id"],
        account_id=row["account_id"],
        thread_id=row["thread_id"],
        head_bytes=row["head"],
        body_id=row["body_id"],
        body_size=row["body_size"],
        labels=tuple(row["labels"].split()),
        history_id=row["history_id"],
        at=row["at"],
        message_id=row["message_id"],
    )
