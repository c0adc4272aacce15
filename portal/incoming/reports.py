"""Reports: what RFC 3464 says of each recipient, and RFC 8098 of a reader."""

import re
from dataclasses import dataclass
from datetime import datetime

from portal.incoming import anatomy, headers
from portal.incoming.anatomy import Mail, Part
from portal.incoming.codes import statuses
from portal.incoming.diagnosis import LONGEST
from portal.incoming.headers import Fields

KINDS = ("message/delivery-status", "message/global-delivery-status")
READERS = ("message/disposition-notification", "message/global-disposition-notification")
#: More recipients than any document has; what follows is not read.
MOST_RECIPIENTS = 200
_BEGINS = re.compile(r"\s{0,20}(reporting-mta|original-envelope-id|final-recipient)\s{0,9}:", re.I)
_BLANK = re.compile(rb"\n[ \t]*(?:\n[ \t]*)+")
_ACTIONS = ("failed", "failure", "delayed", "delivered", "relayed", "expanded")


@dataclass(frozen=True)
class Recipient:
    """What a report says of one. action: in RFC 3464's words; status and words may be empty."""

    email: str
    also: str
    action: str
    status: str
    words: str


@dataclass(frozen=True)
class Report:
    """recipients: in their order; ids: of the mail it is about; about: when that arrived."""

    recipients: tuple[Recipient, ...]
    ids: tuple[str, ...]
    about: datetime | None


def delivery(mail: Mail) -> Report | None:
    """The delivery reports in a mail, put together; None where there are none."""
    groups = [one for part in mail.parts if _is_status(part) for one in _groups(part.data)]
    rows = [one for fields in groups[: MOST_RECIPIENTS + 1] if (one := _recipient(fields))]
    if not rows:
        return None
    every = [field for group in groups for field in group]
    found = headers.ids(
        value
        for name, value in every
        if name.lower() in ("x-original-message-id", "original-message-id")
    )
    return Report(tuple(rows), tuple(found), headers.moment(headers.first(every, "arrival-date")))


def disposition(mail: Mail) -> Report | None:
    """What a reader's program says it did with the mail."""
    part = next((one for one in mail.parts if one.kind in READERS), None)
    if part is None:
        return None
    fields = [field for group in _groups(part.data) for field in group]
    action = headers.first(fields, "disposition").lower().partition(";")[2].strip()
    email = _address(headers.first(fields, "original-recipient")) or _address(
        headers.first(fields, "final-recipient")
    )
    who = Recipient(email, "", action, "", "")
    return Report((who,), tuple(headers.ids([headers.first(fields, "original-message-id")])), None)


def _is_status(part: Part) -> bool:
    if part.kind in KINDS:
        return True
    # Gateways pass the report on as a text or a file, under no name of its own.
    loose = part.kind.startswith(("text/plain", "application/octet-stream", "message/delivery"))
    return loose and bool(_BEGINS.match(part.data[:200].decode("latin-1")))


def _groups(data: bytes) -> list[Fields]:
    data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").strip(b"\n")
    blocks = _BLANK.split(data, MOST_RECIPIENTS * 2)
    return [found for block in blocks if (found := anatomy.split(block + b"\n\n")[0])]


def _recipient(fields: Fields) -> Recipient | None:
    final = _address(headers.first(fields, "final-recipient"))
    # Where the mail was passed on, the address that we wrote to is the original one.
    email = _address(headers.first(fields, "original-recipient")) or final
    action = headers.first(fields, "action").strip().lower()
    if not email and not action:
        return None
    status = next(iter(statuses(headers.first(fields, "status"))), "")
    said = headers.words(headers.first(fields, "diagnostic-code"), LONGEST)
    words = said.partition(";")[2].strip() if ";" in said[:20] else said
    if not words:
        words = headers.words(headers.first(fields, "status")).partition(" ")[2].strip(" ()")
    return Recipient(email, final if final != email else "", _action(action, status), status, words)


def _action(said: str, status: str) -> str:
    known = next((one for one in _ACTIONS if said.startswith(one)), "")
    by_class = {"2": "delivered", "5": "failed"}.get(status[:1], "delayed" if status else "failed")
    return "failed" if known == "failure" else known or by_class


def _address(value: str) -> str:
    """Without its type ("rfc822;"). What is no address is kept: an old system's own name."""
    rest = headers.words(value.partition(";")[2] or value)
    return headers.address_in(rest) or (rest.strip("<> ") if "@" in rest else "")
