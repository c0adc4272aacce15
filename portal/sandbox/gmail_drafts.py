"""Gmail drafts: a draft is sent at most once, because sending it uses it up."""

from __future__ import annotations

import secrets
from typing import Any

from flask import request

from portal.sandbox import mailbox, sending
from portal.sandbox.errors import invalid, not_found
from portal.sandbox.gmail import Caller, Json, checked, choice, method, number, page_token
from portal.sandbox.gmail_messages import (
    FORMATS,
    MESSAGE_FIELDS,
    NEWEST,
    drawn,
    request_parts,
    submitted,
)
from portal.sandbox.mailbox import Message
from portal.sandbox.sending import Submission
from portal.sandbox.store import Store

DRAFT_FIELDS = frozenset(("id", "message"))


@method("drafts.create", "POST", "/drafts", upload=True)
def create(caller: Caller) -> Json:
    told, uploaded = _draft_parts()
    draft_id = f"r{'-' * secrets.randbelow(2)}{secrets.randbits(62)}"
    with caller.google.store.transaction():
        message = _put(caller, submitted(caller, told.get("message", {}), uploaded))
        caller.google.store.insert(
            "drafts", id=draft_id, account_id=caller.account.id, seq=message.seq
        )
    return {"id": draft_id, "message": message.brief()}


@method("drafts.get", "GET", "/drafts/<id>")
def get(caller: Caller, id: str) -> Json:
    wanted = choice("format", FORMATS, "full")
    return {"id": id, "message": drawn(caller, found(caller, id), wanted)}


@method("drafts.list", "GET", "/drafts")
def list_drafts(caller: Caller) -> Json:
    limit = number("maxResults", 100, 500)
    rows = caller.google.store.rows(
        "SELECT d.id draft, d.seq, m.id, m.thread_id FROM drafts d JOIN messages m ON m.seq = d.seq"
        " WHERE d.account_id = ? AND d.seq < ? ORDER BY d.seq DESC LIMIT ?",
        *(caller.account.id, page_token() or NEWEST, limit + 1),
    )
    answer: Json = {}
    if rows:
        answer["drafts"] = [
            {"id": row["draft"], "message": {"id": row["id"], "threadId": row["thread_id"]}}
            for row in rows[:limit]
        ]
    if len(rows) > limit:
        answer["nextPageToken"] = str(rows[limit - 1]["seq"])
    return answer | {"resultSizeEstimate": len(rows)}


@method("drafts.update", "PUT", "/drafts/<id>", upload=True)
def update(caller: Caller, id: str) -> Json:
    told, uploaded = _draft_parts()
    store = caller.google.store
    with store.transaction():
        old = found(caller, id)
        message = _put(caller, submitted(caller, told.get("message", {}), uploaded), old.thread_id)
        mailbox.remove(store, old)
        store.run("UPDATE drafts SET seq = ? WHERE id = ?", message.seq, id)
    return {"id": id, "message": message.brief()}


@method("drafts.send", "POST", "/drafts/send", upload=True)
def send(caller: Caller) -> Json:
    told, uploaded = _draft_parts()
    draft_id = told.get("id") or ""
    if not draft_id:
        raise invalid("Missing draft id")
    store = caller.google.store
    with store.transaction():
        draft = found(caller, draft_id)
        submission = _submission(caller, draft, draft_id, told, uploaded)
        message = sending.accept(caller.google, caller.account, submission)
        kept = submission.body[0] == draft.body_id
        discard(store, draft_id, draft, keep_body=kept)
    return message.brief()


@method("drafts.delete", "DELETE", "/drafts/<id>")
def delete(caller: Caller, id: str) -> None:
    with caller.google.store.transaction():
        discard(caller.google.store, id, found(caller, id))


def found(caller: Caller, draft_id: str) -> Message:
    store = caller.google.store
    seq = store.value(
        "SELECT seq FROM drafts WHERE id = ? AND account_id = ?", draft_id, caller.account.id
    )
    message = None if seq is None else mailbox.by_seq(store, seq)
    if message is None:
        raise not_found()
    return message


def discard(store: Store, draft_id: str, message: Message, *, keep_body: bool = False) -> None:
    store.run("DELETE FROM drafts WHERE id = ?", draft_id)
    mailbox.remove(store, message, keep_body=keep_body)


def _draft_parts() -> tuple[Json, bytes | None]:
    if request.args.get("uploadType") == "media":
        # A bare upload has no room for the resource; only its query may name the draft.
        told, uploaded = request_parts(DRAFT_FIELDS)
        return told | {"id": request.args.get("id", "")}, uploaded
    told, uploaded = request_parts(DRAFT_FIELDS)
    message: Any = told.get("message")
    return told | {"message": checked(message or {}, MESSAGE_FIELDS)}, uploaded


def _submission(
    caller: Caller, draft: Message, draft_id: str, told: Json, uploaded: bytes | None
) -> Submission:
    """The draft as stored, unless the caller pins other bytes at the moment of sending."""
    replaced = uploaded is not None or told.get("message", {}).get("raw") is not None
    given = submitted(caller, told.get("message", {}), uploaded) if replaced else None
    head, body = (given.head, given.body) if given else (draft.head, _body(draft))
    return Submission(head, body, draft.thread_id, draft_id)


def _put(caller: Caller, submission: Submission, thread_id: str | None = None) -> Message:
    head = submission.head
    head.set("Message-ID", mailbox.new_message_id())
    return mailbox.put(
        caller.google.store,
        caller.account.id,
        head,
        submission.body,
        ("DRAFT",),
        caller.google.clock.now(),
        thread_id=submission.thread_id or thread_id,
    )


def _body(message: Message) -> tuple[int, int]:
    return message.body_id, message.body_size
