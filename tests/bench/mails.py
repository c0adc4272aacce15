"""Mails: mailboxes of the sink, and queues of frozen mail for them, written in bulk.

The reference mail is the one of every figure: text, HTML and a PDF of 100 kB, 142 kB in all.
"""

import datetime as dt
import hashlib
import itertools
import random
from collections.abc import Iterator
from typing import Any

from sqlalchemy import func, insert, select

from portal import mailboxes
from portal.columns import now
from portal.dispatch import Dispatch, Lane, Message, Purpose, State
from portal.documents import Document
from portal.envelope import Attachment, Mailable, seal
from portal.extensions import db
from portal.mailboxes import Mailbox
from portal.providers.gmail import FULL_SCOPES
from portal.providers.signing import Account, Grant
from tests import factories
from tests.bench.caller import DOMAIN, access_token_of, address_of, refresh_token_of

PDF_BYTES = 100_000
TOKEN_LENGTH = 32
COMPANY = "Bright Spark Plumbing"
SUBJECT = "Invoice from Bright Spark Plumbing"
TEXT = "Hello Mary,\n\nyour invoice is attached.\n\nBright Spark Plumbing"
#: Documents are numbered from here on, so that those made one by one do not meet them.
FIRST = 1_000_000
#: Rows of one insert: half a second's worth, so that nobody waits long for the store.
TOGETHER = 200


def reference_mail(box: int, token: str, pdf_bytes: int = PDF_BYTES) -> bytes:
    """The whole message as seal() builds it."""
    pdf = random.Random(42).randbytes(pdf_bytes)
    return seal(
        token=token,
        message_id=f"<{token}@{DOMAIN}>",
        sender=Mailable(address_of(box), COMPANY),
        to=[Mailable(factories.MARY, "Mary Lee")],
        cc=[],
        subject=SUBJECT,
        text=TEXT,
        html=f"<html><body><p>{TEXT * 20}</p></body></html>",
        attachments=[Attachment("INV-0042.pdf", "application/pdf", pdf)] if pdf_bytes else [],
    ).mime


def connect(boxes: int) -> list[int]:
    """Company mailboxes 0, 1, ... of the sink, as they are after their owners signed in."""
    factories.bright_spark()
    return [_connected(number).id for number in range(boxes)]


def _connected(number: int) -> Mailbox:
    account = Account(f"sink-{number}", address_of(number), COMPANY, DOMAIN)
    secrets = access_token_of(number), refresh_token_of(number)
    return mailboxes.connect(account, Grant(*secrets, 3600, frozenset(FULL_SCOPES)), owner=None)


def queue(
    boxes: list[int], each: int, *, lane: Lane = Lane.BATCH, pdf_bytes: int = PDF_BYTES
) -> list[str]:
    """So many invoices for each mailbox, frozen and waiting, theirs mixed; the tokens."""
    serials = itertools.count(max(FIRST, db.session.scalar(select(func.max(Document.id))) or 0) + 1)
    rows = _rows(boxes, each, lane, pdf_bytes, serials)
    tokens = []
    author, customer = factories.olive().id, factories.mary().id
    while some := list(itertools.islice(rows, TOGETHER)):
        papers = [_paper(one["document_id"], author, customer) for one in some]
        db.session.execute(insert(Document), papers)
        frozen = [one.pop("mime") for one in some]
        ids = db.session.scalars(
            insert(Dispatch).returning(Dispatch.id, sort_by_parameter_order=True), some
        )
        messages = [
            {"dispatch_id": id_, "mime": mime} for id_, mime in zip(ids, frozen, strict=True)
        ]
        db.session.execute(insert(Message), messages)
        db.session.commit()
        tokens += [one["token"] for one in some]
    return tokens


def _rows(
    boxes: list[int], each: int, lane: Lane, pdf_bytes: int, serials: Iterator[int]
) -> Iterator[dict[str, Any]]:
    blank = "0" * TOKEN_LENGTH
    mails = [reference_mail(number, blank, pdf_bytes) for number in range(len(boxes))]
    for _ in range(each):
        for number, box in enumerate(boxes):
            serial = next(serials)
            token = f"{serial:0{TOKEN_LENGTH}x}"
            mime = mails[number].replace(blank.encode(), token.encode())
            yield _row(serial, token, mime, box, number, lane)


def _row(serial: int, token: str, mime: bytes, box: int, number: int, lane: Lane) -> dict[str, Any]:
    return {
        "document_id": serial,
        "document_version": 1,
        "sending_number": 1,
        "purpose": Purpose.DOCUMENT,
        "lane": lane,
        "token": token,
        "state": State.QUEUED,
        "mailbox_id": box,
        "from_email": address_of(number),
        "from_name": COMPANY,
        "reason": "The property's sender.",
        "to": [factories.MARY],
        "cc": [],
        "recipients_why": {factories.MARY: "Mary Lee, customer"},
        "subject": SUBJECT,
        "body": TEXT,
        "mime": mime,
        "mime_sha256": hashlib.sha256(mime).hexdigest(),
        "mime_size": len(mime),
        "pdf_sha256": "0" * 64,
        "requested_at": now(),
    }


def _paper(serial: int, author: int, customer: int) -> dict[str, Any]:
    return {
        "id": serial,
        "kind": "invoice",
        "number": f"INV-{serial:07}",
        "contact_id": customer,
        "issued": dt.date(2026, 11, 1),
        "created_by_id": author,
        "email_status": State.QUEUED,
    }
