"""Sending: what Google does between a caller's bytes and the mail that really leaves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime

from portal.sandbox import accounts, addresses, authentication, mailbox
from portal.sandbox.accounts import Account
from portal.sandbox.bounce import Failure, delivery_failure
from portal.sandbox.errors import GoogleError, invalid, sending_limit
from portal.sandbox.google import LocalGoogle
from portal.sandbox.mailbox import Message
from portal.sandbox.mime import Head, named, plausible, split
from portal.sandbox.settings import MAX_MESSAGE_BYTES, MAX_RECIPIENTS

DAY = 86_400.0
NO_SUCH_ACCOUNT = "550-5.1.1 The email account that you tried to reach does not exist."
RECIPIENT_HEADERS = ("To", "Cc", "Bcc")


@dataclass(frozen=True, slots=True)
class Submission:
    """What a caller asks to be sent: a new mail's bytes, or a draft's stored ones."""

    head: Head
    body: tuple[int, int]
    thread_id: str | None = None
    draft_id: str | None = None


def take_in(google: LocalGoogle, raw: bytes, thread_id: str | None = None) -> Submission:
    if len(raw) > MAX_MESSAGE_BYTES:
        raise GoogleError(413, "uploadTooLarge", "Request Entity Too Large", status="OUT_OF_RANGE")
    head, body = split(raw)
    body_id = mailbox.store_body(google.store, body)
    return Submission(Head.parse(head), (body_id, len(body)), thread_id)


def accept(google: LocalGoogle, account: Account, submission: Submission) -> Message:
    """Sends it: one record of acceptance, the sender's copy, and a copy for each own inbox."""
    head = submission.head
    recipients = _recipients(head)
    _check_daily_limit(google, account)
    asked_from = head.text("From")
    _replace_sender(google, account, head)
    _stamp(google, head)
    inbox = ("INBOX", "UNREAD") if _is_own(google, account, recipients) else ()
    with google.store.transaction():
        sent = mailbox.put(
            google.store,
            account.id,
            head,
            submission.body,
            ("SENT", *inbox),
            google.clock.now(),
            thread_id=submission.thread_id,
        )
        google.store.insert(
            "accepted",
            account_id=account.id,
            message_seq=sent.seq,
            draft_id=submission.draft_id,
            asked_from=asked_from,
            at=sent.at,
        )
        _deliver(google, account, sent, recipients)
    return sent


def _recipients(head: Head) -> list[str]:
    found: dict[str, str] = {}
    for name in RECIPIENT_HEADERS:
        listed = head.addresses(name)
        if (head.raw(name) or "") and not (listed and all(plausible(one) for one in listed)):
            raise invalid(f"Invalid {name} header")
        found.update((one.lower(), one) for one in listed)
    if not found:
        raise invalid("Recipient address required")
    if len(found) > MAX_RECIPIENTS:
        raise invalid("Recipient limit exceeded")
    return list(found.values())


def _check_daily_limit(google: LocalGoogle, account: Account) -> None:
    settings, now = google.settings, google.clock.now()
    limit = settings.workspace_daily if account.workspace else settings.consumer_daily
    if not limit:
        return
    reached = google.store.value(
        "SELECT at FROM accepted WHERE account_id = ? AND at > ? ORDER BY at DESC LIMIT 1 OFFSET ?",
        *(account.id, now - DAY, limit - 1),
    )
    if reached is not None:
        raise sending_limit(google.clock.on_the_wall(float(reached) + DAY))


def _replace_sender(google: LocalGoogle, account: Account, head: Head) -> None:
    """Google says nothing when it does this: callers have to read the sent copy."""
    asked = head.addresses("From")
    if len(asked) == 1 and addresses.may_send(google.store, account.id, asked[0]):
        return
    default = addresses.default(google.store, account.id)
    head.set("From", named(default.name or account.name, default.email))


def _stamp(google: LocalGoogle, head: Head) -> None:
    moment = format_datetime(_now(google))
    if not head.raw("Date"):
        head.set("Date", moment)
    head.set("Message-ID", mailbox.new_message_id())
    received = f"from 202620262026 named unknown by gmailapi.google.com with HTTPREST; {moment}"
    head.prepend("Received", received)


def _now(google: LocalGoogle) -> datetime:
    return google.clock.on_the_wall(google.clock.now())


def _is_own(google: LocalGoogle, account: Account, recipients: list[str]) -> bool:
    reached = [accounts.receiving(google.store, one) for one in recipients]
    return any(found is not None and found.id == account.id for found in reached)


def _deliver(google: LocalGoogle, sender: Account, sent: Message, recipients: list[str]) -> None:
    reached = {sender.id}
    for recipient in recipients:
        account = accounts.receiving(google.store, recipient)
        failure = _failure(google, account, recipient)
        if failure:
            put_bounce(google, sender, sent, failure)
        elif account is not None and account.id not in reached:
            reached.add(account.id)
            _put_in_inbox(google, account, sender, sent, recipient)


def _failure(google: LocalGoogle, account: Account | None, recipient: str) -> Failure | None:
    """Mail to a foreign domain just leaves, unless steering says what becomes of it."""
    told = google.store.row(
        "SELECT status, diagnostic FROM undeliverable WHERE email = ?", recipient
    )
    if told is not None:
        return Failure(recipient, told["status"], told["diagnostic"], _now(google))
    domain = recipient.rpartition("@")[2].lower()
    if account is None and domain in google.settings.domains:
        return Failure(recipient, "5.1.1", NO_SUCH_ACCOUNT, _now(google))
    return None


def _put_in_inbox(
    google: LocalGoogle, account: Account, sender: Account, sent: Message, recipient: str
) -> None:
    head = sent.head
    head.drop("Bcc")
    checked = authentication.gmails(head, sender.email, google.settings.authentication)
    head.prepend("Authentication-Results", checked)
    head.prepend("Return-Path", f"<{head.addresses('From')[0]}>")
    moment = format_datetime(_now(google))
    head.prepend("Received", f"by 2002:a05:6512:0:0:0:0:0 with SMTP id local; {moment}")
    head.prepend("Delivered-To", recipient)
    body = (sent.body_id, sent.body_size)
    mailbox.put(google.store, account.id, head, body, ("INBOX", "UNREAD"), sent.at)


def put_bounce(google: LocalGoogle, account: Account, sent: Message, failure: Failure) -> Message:
    original = mailbox.raw(google.store, sent)
    return receive(google, account, delivery_failure(account.email, original, failure))


def receive(
    google: LocalGoogle,
    account: Account,
    raw: bytes,
    *,
    at: float | None = None,
    labels: tuple[str, ...] = ("INBOX", "UNREAD"),
) -> Message:
    """Puts mail from outside into a mailbox. at: when it came; now, unless told."""
    head, body = split(raw)
    with google.store.transaction():
        stored = (mailbox.store_body(google.store, body), len(body))
        moment = google.clock.now() if at is None else at
        return mailbox.put(google.store, account.id, Head.parse(head), stored, labels, moment)
