"""Posting: what Exchange does between a caller's "send" and the mail that really leaves."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from portal.sandbox import authentication, mime
from portal.sandbox.bounce import Failure
from portal.sandbox.microsoft import composing, directory, errors, items, ndr
from portal.sandbox.microsoft.directory import Account
from portal.sandbox.microsoft.errors import GraphError
from portal.sandbox.microsoft.items import Item
from portal.sandbox.microsoft.microsoft import LocalMicrosoft
from portal.sandbox.microsoft.settings import MAX_RECIPIENTS
from portal.sandbox.mime import Head, named, plausible

MINUTE, DAY = 60.0, 86_400.0
RECIPIENT_HEADERS = ("To", "Cc", "Bcc")
NO_SUCH_PERSON = (
    "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup"
)
TOO_MANY = "550 5.5.3 RESOLVER.ADR.RecipientLimit; too many recipients"
TOO_MANY_A_DAY = "550 5.1.90 Your message can't be sent because you've reached your daily limit"


def take_in(microsoft: LocalMicrosoft, raw: bytes) -> bytes:
    """A new mail's bytes as Exchange stores them: its own Message-ID, some headers gone."""
    settings = microsoft.settings
    head_bytes, body = mime.split(composing.only_kept(raw, settings.x_headers_kept))
    head = Head.parse(head_bytes)
    if not (settings.keeps_message_id and head.raw("Message-ID")):
        head.set("Message-ID", composing.new_internet_id())
    return head.bytes() + b"\r\n" + body


def submit(
    microsoft: LocalMicrosoft,
    asker: Account,
    mailbox: Account,
    item: Item,
    *,
    for_others: bool,
    kept: bool = True,
) -> float:
    """Hands it over; seconds by which a limit delays it. It leaves a moment later.

    for_others: whether the app may send as anybody but the asker.
    """
    store, now = microsoft.store, microsoft.clock.now()
    _check(microsoft, mailbox, item)
    head, asked_from = item.head, item.head.text("From")
    _put_sender(microsoft, asker, mailbox, head, for_others=for_others)
    delay = _delay(microsoft, mailbox)
    with store.transaction():
        store.run(
            "UPDATE items SET head = ?, sender = ?, leaves = ?, kept = ? WHERE seq = ?",
            *(head.bytes(), head.addresses("From")[0]),
            *(now + microsoft.settings.send_delay + delay, int(kept), item.seq),
        )
        store.insert(
            "accepted",
            account_id=mailbox.id,
            asker_id=asker.id,
            immutable_id=item.immutable_id,
            asked_from=asked_from,
            head=head.bytes(),
            body_id=item.body_id,
            recipients=len(recipients(head)),
            at=now,
        )
    return delay


def let_leave(microsoft: LocalMicrosoft) -> None:
    """Everything whose moment has come: it moves to Sent Items and reaches its recipients."""
    for due in items.leaving(microsoft.store, microsoft.clock.now()):
        with microsoft.store.transaction():
            item = items.by_immutable_id(microsoft.store, due.immutable_id)
            if item is not None and item.leaves is not None:
                _leave(microsoft, item, item.leaves)


def recipients(head: Head) -> list[str]:
    found = {one.lower(): one for name in RECIPIENT_HEADERS for one in head.addresses(name)}
    return list(found.values())


def receive(
    microsoft: LocalMicrosoft,
    account: Account,
    raw: bytes,
    body_id: int | None = None,
    *,
    at: float | None = None,
) -> Item:
    """Puts mail from elsewhere into an inbox. at: when it came; now, unless told."""
    moment, store = microsoft.clock.now() if at is None else at, microsoft.store
    return items.put(store, account, raw, moment, folder="inbox", read=False, body_id=body_id)


def _leave(microsoft: LocalMicrosoft, item: Item, now: float) -> None:
    store, account = microsoft.store, directory.by_id(microsoft.store, item.account_id)
    head = item.head
    head.set("Date", format_datetime(datetime.fromtimestamp(now, UTC)))
    store.run("UPDATE items SET head = ? WHERE seq = ?", head.bytes(), item.seq)
    store.run(
        "UPDATE accepted SET left_at = ?, head = ? WHERE immutable_id = ? AND left_at IS NULL",
        *(now, head.bytes(), item.immutable_id),
    )
    items.left(store, item, now)
    changed = not microsoft.settings.immutable_ids_hold
    if item.kept:
        sent = items.move(store, item, "sentitems", now, new_immutable=changed)
    else:
        sent = item
        items.remove(store, item)
    _deliver(microsoft, account, sent, head)


def _check(microsoft: LocalMicrosoft, mailbox: Account, item: Item) -> None:
    people = recipients(item.head)
    if not people or not all(plausible(one) for one in people):
        words = "At least one recipient isn't valid., At least one recipient isn't valid."
        raise GraphError(400, "ErrorInvalidRecipients", words)
    settings = microsoft.settings
    if settings.message_bytes and item.size > settings.message_bytes:
        words = "The message exceeds the maximum supported size."
        raise GraphError(413, "ErrorMessageSizeExceeded", words)
    personal, limit = mailbox.tenant_id == directory.CONSUMERS, settings.consumer_daily
    if personal and limit and _accepted_since(microsoft, mailbox, DAY) >= limit:
        raise errors.message_limit()


def _put_sender(
    microsoft: LocalMicrosoft, asker: Account, mailbox: Account, head: Head, *, for_others: bool
) -> None:
    """Whose name the mail bears. An alias that may not be used is replaced without a word."""
    store = microsoft.store
    asked = head.addresses("From")
    owner = directory.receiving(store, asked[0]) if asked else mailbox
    if owner is None or owner.tenant_id != asker.tenant_id:
        raise errors.send_as_denied()
    address = owner.email
    if asked and directory.tenant_of(store, asker).send_from_alias:
        address = asked[0]
    head.drop("Sender")
    if owner.id != asker.id:
        _check_right(microsoft, asker, owner, for_others)
        if not directory.may(store, asker, "send_as", owner):
            head.set("Sender", named(asker.name, asker.email))
    # The directory's name, whatever name the caller wrote.
    head.set("From", named(owner.name, address))


def _check_right(
    microsoft: LocalMicrosoft, asker: Account, owner: Account, for_others: bool
) -> None:
    if not for_others:
        raise errors.access_denied()
    rights = ("send_as", "send_on_behalf")
    if not any(directory.may(microsoft.store, asker, one, owner) for one in rights):
        raise errors.send_as_denied()


def _delay(microsoft: LocalMicrosoft, mailbox: Account) -> float:
    """Above so many a minute Exchange takes the mail all the same, and sends it later."""
    limit, now = microsoft.settings.messages_per_minute, microsoft.clock.now()
    if not limit:
        return 0.0
    nth = microsoft.store.value(
        "SELECT at FROM accepted WHERE account_id = ? AND at > ? ORDER BY at DESC LIMIT 1 OFFSET ?",
        *(mailbox.id, now - MINUTE, limit - 1),
    )
    return 0.0 if nth is None else float(nth) + MINUTE - now


def _accepted_since(microsoft: LocalMicrosoft, mailbox: Account, span: float) -> int:
    sql = "SELECT COUNT(*) FROM accepted WHERE account_id = ? AND at > ?"
    return int(microsoft.store.value(sql, mailbox.id, microsoft.clock.now() - span))


def _deliver(microsoft: LocalMicrosoft, sender: Account, sent: Item, head: Head) -> None:
    people, refused = recipients(head), _refused_whole(microsoft, sender, recipients(head))
    reached: set[int] = set()
    for recipient in people:
        account = directory.receiving(microsoft.store, recipient)
        failure = refused or _failure(microsoft, account, recipient)
        if failure:
            original = items.raw(microsoft.store, sent)
            raw = ndr.report(sender, original, failure)
            receive(microsoft, sender, take_in(microsoft, raw))
        elif account is not None and account.mailbox and account.id not in reached:
            reached.add(account.id)
            _put_in_inbox(microsoft, account, sender, sent, head)
        if refused:
            return


def _refused_whole(microsoft: LocalMicrosoft, sender: Account, people: list[str]) -> Failure | None:
    """Limits that Graph says nothing of: the mail was taken, and comes back."""
    now, limit = microsoft.clock.now(), microsoft.settings.recipients_per_day
    sql = "SELECT COALESCE(SUM(recipients), 0) FROM accepted WHERE account_id = ? AND at > ?"
    if len(people) > MAX_RECIPIENTS:
        return _failed(microsoft, people[0], "5.5.3", TOO_MANY)
    if limit and microsoft.store.value(sql, sender.id, now - DAY) > limit:
        return _failed(microsoft, people[0], "5.1.90", TOO_MANY_A_DAY)
    return None


def _failure(microsoft: LocalMicrosoft, account: Account | None, recipient: str) -> Failure | None:
    """Mail to a foreign domain just leaves, unless steering says what becomes of it."""
    sql = "SELECT status, diagnostic FROM undeliverable WHERE email = ?"
    told: Any = microsoft.store.row(sql, recipient)
    if told is not None:
        return _failed(microsoft, recipient, told["status"], told["diagnostic"])
    domain = recipient.rpartition("@")[2].lower()
    if account is None and domain in microsoft.settings.domains:
        return _failed(microsoft, recipient, "5.1.10", NO_SUCH_PERSON)
    return None


def _failed(microsoft: LocalMicrosoft, recipient: str, status: str, diagnostic: str) -> Failure:
    return Failure(
        recipient, status, diagnostic, datetime.fromtimestamp(microsoft.clock.now(), UTC)
    )


def _put_in_inbox(
    microsoft: LocalMicrosoft, account: Account, sender: Account, sent: Item, head: Head
) -> None:
    arrived = Head(list(head.fields))
    arrived.drop("Bcc")
    within, steered = account.tenant_id == sender.tenant_id, microsoft.settings.authentication
    checked = authentication.microsofts(arrived, sender.email, steered, within=within)
    arrived.prepend("Authentication-Results", checked)
    moment = arrived.raw("Date") or ""
    arrived.prepend("Received", f"from local.microsoft (127.0.0.1) with HTTPS; {moment}")
    body = items.body(microsoft.store, sent)
    raw = arrived.bytes() + b"\r\n" + body
    receive(microsoft, account, raw, sent.body_id)
