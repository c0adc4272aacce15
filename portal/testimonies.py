"""Testimonies: what the provider of a receiving mailbox wrote down about a test mail of a domain.

Records only suggest whether mail passes; this proves it. The portal sends one message from an
address of the domain to another connected mailbox that may be read, finds it there by its header,
and keeps what the receiving side found (published.results). The message takes the same road as
every other.
"""

import logging
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, ForeignKey, Text, func, or_, select, update
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal import dispatch, domains, instance, journal, mailboxes, queueing
from portal.accounts import User
from portal.columns import UtcDateTime, db_now, now
from portal.dispatch import OPEN_STATES, Dispatch, Purpose, State
from portal.domains import Domain
from portal.envelope import DISPATCH_HEADER, Mailable, ProviderAnswer
from portal.extensions import Base, db
from portal.mailboxes import Health, Mailbox
from portal.people import company
from portal.providers.provider import Access, Provider
from portal.published import results
from portal.published.results import Results
from portal.published.ways import Way
from portal.senders import SendFrom, trouble_with
from portal.stores import reading, rows_changed

#: So long it is looked for after it left, with so many seconds between two looks.
PATIENCE, AGAIN = timedelta(minutes=20), 4.0
#: Clocks stand apart, and a provider may list what arrived a little earlier.
EARLIER = timedelta(minutes=5)
#: So many messages are read in one look: a busy mailbox is looked through in several.
MOST_READ = 30

log = logging.getLogger(__name__)


class Outcome(StrEnum):
    """What became of it. HEARD: the proof stands at the domain (Domain.proofs)."""

    OPEN = ""
    HEARD = "heard"
    SILENT = "silent"
    MISSING = "missing"
    UNSENT = "unsent"
    UNREADABLE = "unreadable"


class Testimony(Base):
    """One test mail of a domain through one way (published.ways.Way.key), and where it is awaited.

    token: that of its dispatch, which is stored in the same commit. mark: up to where the receiving
    mailbox was read.
    """

    __tablename__ = "testimonies"

    id: Mapped[int] = mapped_column(primary_key=True)
    domain: Mapped[str] = mapped_column(index=True)
    way_key: Mapped[str]
    token: Mapped[str] = mapped_column(unique=True)
    receiver_id: Mapped[int] = mapped_column(ForeignKey("mailboxes.id"))
    mark: Mapped[str] = mapped_column(Text, default="")
    look_after: Mapped[datetime | None] = mapped_column(UtcDateTime)
    outcome: Mapped[str] = mapped_column(default=Outcome.OPEN)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    receiver: Mapped[Mailbox] = relationship()
    mail: Mapped[Dispatch] = relationship(
        primaryjoin="foreign(Testimony.token) == Dispatch.token", viewonly=True
    )

    @property
    def is_open(self) -> bool:
        return self.outcome == Outcome.OPEN


@dataclass(frozen=True)
class Prospect:
    """How a domain's mail through one way can be proved: from which address, read in which mailbox.

    why_not: what keeps it from being proved, as one sentence with what to do; "" where nothing
    does.
    """

    way: Way
    sender: SendFrom | None = None
    receiver: Mailbox | None = None
    why_not: str = ""


class CannotProve(Exception):
    """Nothing was sent; the message says why."""


# -- asking ------------------------------------------------------------------------------------


def prospects(name: str, user: User) -> list[Prospect]:
    """Each way of a domain, and how this person can have it proved."""
    boxes = mailboxes.all_mailboxes()
    return [_prospect(way, found, boxes, user) for way, found in domains.through(name).items()]


def _prospect(
    way: Way, found: list[tuple[str, Mailbox]], boxes: list[Mailbox], user: User
) -> Prospect:
    senders = [_send_from(email, box) for email, box in found if _may_use(box, user)]
    troubles = [trouble_with(one.email, one)[1] for one in senders]
    ready = [one for one, trouble in zip(senders, troubles, strict=True) if not trouble]
    if not ready:
        why = next(iter(troubles), "It leaves through somebody’s own mailbox: they can prove it.")
        return Prospect(way, why_not=why)
    own_first = sorted(ready, key=lambda one: (one.consent is not None, not one.is_primary))
    for sender in own_first:
        receiver = _receiver_for(sender, boxes, user)
        if receiver is not None:
            return Prospect(way, sender, receiver)
    return Prospect(way, own_first[0], why_not=_why_nobody(own_first[0], boxes, user))


def _send_from(email: str, box: Mailbox) -> SendFrom:
    found = mailboxes.send_from(box, email)
    assert found is not None  # it is one of its addresses
    return found


def _may_use(box: Mailbox, user: User) -> bool:
    """Nobody has a colleague's own mailbox send, or read."""
    return box.owner_id in (None, user.id)


def _receiver_for(sender: SendFrom, boxes: Iterable[Mailbox], user: User) -> Mailbox | None:
    """The mailbox that is most like a customer's: elsewhere, at another provider."""
    through = db.session.get_one(Mailbox, sender.mailbox_id)
    able = [one for one in boxes if _hears(one, through) and _may_use(one, user)]
    return min(able, key=lambda one: _likeness(one, through), default=None)


def _hears(box: Mailbox, through: Mailbox) -> bool:
    """Whether a mailbox is told what its provider found of mail that leaves through another.

    Within one company of Microsoft 365 nothing is checked, and nobody checks their own.
    """
    readable = box.abilities.incoming is not Access.NONE
    works = box.health == Health.CONNECTED and not box.is_elsewhere
    both = box.provider == through.provider == "microsoft"
    return readable and works and box.id != through.id and not (both and _tenant(box, through))


def _tenant(one: Mailbox, other: Mailbox) -> bool:
    """Whether both are of one company: behind the @ of an account stands its tenant."""
    return one.account_sub.rpartition("@")[2] == other.account_sub.rpartition("@")[2]


def _likeness(box: Mailbox, through: Mailbox) -> tuple[bool, bool, bool, int]:
    mine, theirs = (one.email.rpartition("@")[2].lower() for one in (box, through))
    away = box.failing_since is not None
    return away, mine == theirs, box.provider == through.provider, box.id


def _why_nobody(sender: SendFrom, boxes: Iterable[Mailbox], user: User) -> str:
    others = [
        one
        for one in boxes
        if one.id != sender.mailbox_id and _may_use(one, user) and one.health == Health.CONNECTED
    ]
    wanting = next((one for one in others if one.abilities.incoming is Access.NONE), None)
    if wanting is None:
        return (
            "No other connected mailbox can receive the test. Connect one more, best one outside "
            "your company, such as a free Gmail address."
        )
    return f"{wanting.email} could receive the test, but {_missing(wanting)}"


def _missing(box: Mailbox) -> str:
    """Which permission lets the portal read what arrives in a mailbox."""
    match box.provider:
        case "gmail":
            return (
                "the portal may not see what arrives there. Connect it again and tick “View your "
                "email message metadata such as labels and headers, but not the email body”."
            )
        case "microsoft":
            return (
                "the portal may not see what arrives there. Connect it again and allow “Read and "
                "write access to your mail”."
            )
    return (
        "the portal has no way to read there. Give its server for reading mail (IMAP) in its "
        "settings, or connect another mailbox."
    )


def begin(name: str, way_key: str, user: User) -> Testimony:
    """Send a test mail from the domain. A double press is one mail. Commits. Raises CannotProve."""
    found = next((one for one in prospects(name, user) if one.way.key == way_key), None)
    if found is None:
        raise CannotProve("Nothing is sent from this domain that way any more.")
    last = latest(name).get(way_key)
    if last is not None and last.is_open:
        return last
    if found.sender is None or found.receiver is None:
        raise CannotProve(found.why_not)
    key = f"testimony/{instance.key()}/{name}/{way_key}/{_count(name)}"
    token = dispatch.token_of_notice(key)
    if dispatch.noticed(key) is None:
        receiver_id = found.receiver.id
        db.session.add(
            Testimony(domain=name, way_key=way_key, token=token, receiver_id=receiver_id)
        )
    to, subject = Mailable(found.receiver.email), f"[Test] Mail from {found.sender.email}"
    letter = _letter(found.sender.email, user)
    with db.session.no_autoflush:  # it goes into the commit that stores the mail, or not at all
        dispatch.notice(key, to, subject, letter, found.sender, user=user, purpose=Purpose.TEST)
    return db.session.scalars(select(Testimony).where(Testimony.token == token)).one()


def _count(name: str) -> int:
    return db.session.scalar(select(func.count()).where(Testimony.domain == name)) or 0


def _letter(email: str, user: User) -> str:
    return (
        f"Hello,\n\n"
        f"{user.name} has the portal prove that mail from {email} passes the check for forged "
        f"senders. The portal reads what this mailbox’s provider found: there is nothing to do.\n\n"
        f"{company().name}"
    )


def latest(name: str) -> dict[str, Testimony]:
    """The newest test mail of each way of a domain, by its key."""
    query = select(Testimony).where(Testimony.domain == name).order_by(Testimony.id)
    return {one.way_key: one for one in db.session.scalars(query)}


# -- listening ---------------------------------------------------------------------------------


def look_again(ends: float = math.inf) -> int:
    """Look for the test mails that are awaited; how many were looked for. Raises nothing."""
    with reading():
        due = list(db.session.scalars(select(Testimony.id).where(*_due())))
    looked = 0
    for testimony_id in due:
        if queueing.stopping.is_set() or time.monotonic() >= ends:
            break
        looked += _looked(testimony_id)
    return looked


def _due() -> tuple[ColumnElement[bool], ...]:
    later = or_(Testimony.look_after.is_(None), Testimony.look_after < db_now())
    return Testimony.outcome == Outcome.OPEN, later


def _looked(testimony_id: int) -> bool:
    """One look, by one process anywhere: whoever sets out writes it down first."""
    if not journal.write(lambda: _set_out(testimony_id)):
        return False
    try:
        _look(testimony_id)
    except ProviderAnswer as problem:
        log.info("a test mail could not be looked for: %s", problem.words)
    except Exception:
        journal.undo()
        log.exception("a test mail could not be looked for")
    return True


def _set_out(testimony_id: int) -> bool:
    mine = Testimony.id == testimony_id, *_due()
    taken = update(Testimony).where(*mine).values(look_after=db_now(AGAIN))
    done = db.session.execute(taken.execution_options(synchronize_session=False))
    return rows_changed(done) == 1


def _look(testimony_id: int) -> None:
    with reading():
        one = _load(testimony_id)
        mail = dispatch.load(one.mail.id)
        ended = _ended_without(one, mail)
        mark, token, since = one.mark, one.token, mail.accepted_at
        provider = mailboxes.provider_for(one.receiver)
        kind = one.receiver.provider
    if ended is not None:
        journal.write(lambda: _end(testimony_id, ended))
    elif since is not None and provider.incoming_access is not Access.NONE:
        headers, mark = _found(provider, token, mark, since - EARLIER)
        journal.write(lambda: _keep(testimony_id, headers, mark, kind))


def _ended_without(one: Testimony, mail: Dispatch) -> Outcome | None:
    """What it ended in, where there is nothing more to look for."""
    if mail.state not in (*OPEN_STATES, State.ACCEPTED, State.RETURNED):
        return Outcome.UNSENT
    box = one.receiver
    if box.health != Health.CONNECTED or box.abilities.incoming is Access.NONE:
        return Outcome.UNREADABLE
    left = mail.accepted_at
    return Outcome.MISSING if left is not None and now() - left > PATIENCE else None


def _found(
    provider: Provider, token: str, mark: str, since: datetime
) -> tuple[tuple[tuple[str, str], ...] | None, str]:
    """The headers of the message that bears the token, if it has come; and up to where was read."""
    wanted, read = DISPATCH_HEADER.lower(), 0
    while read < MOST_READ:
        arrived = provider.arrivals(mark, since=since)
        for message_id in arrived.ids:
            headers = provider.incoming(message_id, whole=False).headers
            if any(name.lower() == wanted and value.strip() == token for name, value in headers):
                return headers, arrived.mark
        read, mark = read + len(arrived.ids) + 1, arrived.mark
        if not arrived.more:
            break
    return None, mark


def _keep(
    testimony_id: int, headers: tuple[tuple[str, str], ...] | None, mark: str, kind: str
) -> None:
    one = _load(testimony_id)
    one.mark = mark
    if headers is None:
        return
    found = results.as_received(headers, kind)
    if not found.findings:
        _end(testimony_id, Outcome.SILENT)
        return
    _end(testimony_id, Outcome.HEARD)
    _remember(one, found)


def _remember(one: Testimony, found: Results) -> None:
    row = domains.stored(one.domain) or Domain(name=one.domain, records={}, proofs={})
    db.session.add(row)
    proof = results.prove(found, domains.counting_for(row))
    domains.remember_proof(row, one.way_key, found.host or one.receiver.provider_name, proof)


def _end(testimony_id: int, outcome: Outcome) -> None:
    one = _load(testimony_id)
    one.outcome, one.ended_at, one.look_after = outcome, now(), None


def _load(testimony_id: int) -> Testimony:
    return db.session.get_one(Testimony, testimony_id, populate_existing=True)
