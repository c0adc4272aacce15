"""Restoration: what somebody says of a stopped store, and what follows from it.

It may be the real portal, restored from a backup or moved. Then every mailbox's Sent is looked
through, back to the last attempt that the database knows of: nothing leaves without an attempt, so
what left since is there. What is still open here and found there is settled; what this database has
never heard of is listed; then the rest may leave. Or it is a copy for trying out: then it forgets
every sign-in, and all that waits in it is cancelled.
"""

import functools
import itertools
import logging
import math
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from flask import Flask, current_app
from sqlalchemy import ColumnElement, and_, func, or_, select, update

from portal import journal, ledger, mailboxes, pace, queueing
from portal.accounts import User
from portal.batches import Batch, BatchItem, ItemState
from portal.batches.drafts import show_unsent
from portal.columns import db_now, lapsed, now
from portal.dispatch import OPEN_STATES, Attempt, Dispatch, Proof, Purpose, State, move, tell
from portal.dispatch.freezing import token_of
from portal.documents import Document
from portal.envelope import (
    Gone,
    NeedsPermission,
    NeedsSignIn,
    OperatorProblem,
    ProviderAnswer,
    SentCopy,
    TryLater,
)
from portal.evidence import found_sent
from portal.extensions import db
from portal.instance import Instance, settle_here
from portal.instance import this as this_instance
from portal.mailboxes import Address, Mailbox
from portal.providers.provider import Provider
from portal.senders import find, trouble_with
from portal.stores import reading, rows_changed

#: The last attempt known may have taken so long, by clocks that stand so far apart.
SLACK = timedelta(minutes=20)
#: Whoever looks says so again within this many seconds, and looks again that long after a problem.
LOOKING, AGAIN = 120.0, 15.0
#: So many mailboxes are looked through side by side, so many copies are read between two notes.
SIDE_BY_SIDE, CHUNK = 8, 20
#: So many drafts of a mailbox are read.
DRAFTS_MOST = 200
#: A look is over; everything else is looked at again.
ENDED = ("done", "closed", "blind", "skipped")
#: What would leave by itself.
TO_LEAVE = tuple(one for one in OPEN_STATES if one != State.UNKNOWN)
#: Where a sent copy tells more than the database.
UNSETTLED = (*OPEN_STATES, State.REFUSED, State.CANCELLED)
#: So many sendings of one document may have been asked for since the backup.
NUMBERS_AHEAD = 3

RESTORED = "The database was restored"
BLIND = "The database was restored. Whether this had left cannot be seen: look in Sent of {}."
FOUND_ELSEWHERE = (
    "The database was restored. A mail with this message's mark, “{}”, is in Sent of {}, which is "
    "not the mailbox that it belongs to. Find out whether it left."
)
LEFT_ALREADY = "It had left when the database was restored: it is in Sent."
UNSEEN = (
    "The database was restored, and no mailbox that may send as {} could be looked through then. "
    "Find out whether this had left."
)
CANNOT_TELL = "The database was restored. Whether it had left cannot be seen: look in Sent."
A_COPY = "Cancelled: this is a copy of the portal, for trying out."

log = logging.getLogger(__name__)


@dataclass
class Look:
    """How far one mailbox's Sent is looked through.

    state: waiting, reading, stuck (its problem says why), done, closed (not signed in, and nothing
    here waits for it), blind (Sent cannot be read) or skipped; total and read: sent copies; last:
    the id of the last one read; settled: sendings found; strangers: what left and is not known
    here, as {"id", "token", "at", "to", "subject", "document"}, with "test" once all is over.
    later: the last one read where somebody signed in only afterwards (aftermath.py).
    """

    mailbox: str
    state: str = "waiting"
    total: int = 0
    read: int = 0
    last: str = ""
    settled: int = 0
    problem: str = ""
    strangers: list[dict[str, Any]] = field(default_factory=list)
    later: str = ""

    @property
    def is_over(self) -> bool:
        return self.state in ENDED


# -- what a person says ----------------------------------------------------------------------------


def take_as_real(user: User | None) -> bool:
    """This is the real portal: have a worker look through Sent, then let mail leave.

    False where nothing was stopped, or somebody has said so already. Commits and rings.
    """
    if not _say(user, choice="real", back_to=_last_known(), looking_until=None):
        return False
    one = this_instance()
    boxes = db.session.scalars(select(Mailbox).order_by(Mailbox.id))
    one.found = {str(box.id): asdict(Look(box.email)) for box in boxes}
    db.session.commit()
    queueing.ring()
    return True


def take_as_copy(user: User | None) -> bool:
    """This is a copy: forget every sign-in, cancel what waits, leave the real one's Gmail alone.

    False where nothing was stopped, or somebody has said something else. Commits.
    """
    if not _say(user, choice="copy", back_to=None, found={}):
        return False
    mailboxes.forget_all()
    waiting = db.session.scalars(select(Dispatch.id).where(Dispatch.state.in_(OPEN_STATES)))
    for dispatch_id in waiting.all():
        cancelled = {"state_note": A_COPY, "draft_id": None, "needs_person": False}
        if move(dispatch_id, OPEN_STATES, State.CANCELLED, **cancelled, lease_until=None):
            tell(dispatch_id, A_COPY, user.name if user else "")
    _leave_items(A_COPY)
    # The drafts and the sent copies are the real portal's business.
    db.session.execute(update(Dispatch).values(draft_id=None).where(Dispatch.draft_id.is_not(None)))
    unread = and_(Dispatch.state == State.ACCEPTED, Dispatch.proof == Proof.UNREAD)
    db.session.execute(update(Dispatch).values(proof=Proof.NOT_GRANTED).where(unread))
    settle_here(this_instance())
    db.session.commit()
    return True


def go_without(mailbox_id: int, user: User | None) -> bool:
    """Look no longer in a mailbox: a person decides on each of its messages. Commits and rings."""
    look = looks().get(mailbox_id)
    if look is None or look.is_over or this_instance().choice != "real":
        db.session.commit()
        return False
    look.state, look.problem = "skipped", ""
    _leave_to_person(mailbox_id, look.mailbox)
    _keep(mailbox_id, look)
    db.session.commit()
    queueing.ring()
    return True


def have_seen() -> None:
    """Somebody has read what is not known here. Its documents still say so when they are sent.

    Commits.
    """
    one = this_instance()
    known = {
        box_id: [it for it in look["strangers"] if it["document"]]
        for box_id, look in one.found.items()
    }
    one.found = {
        box_id: {**one.found[box_id], "strangers": strangers, "seen": True}
        for box_id, strangers in known.items()
        if strangers
    }
    db.session.commit()


def _say(user: User | None, **values: Any) -> bool:
    """Note what was said of a stopped store; False where it is not for saying. No commit."""
    stopped = Instance.stopped_at.is_not(None), Instance.choice == ""
    who = {"confirmed_at": now(), "confirmed_by_id": user.id if user else None}
    done = db.session.execute(update(Instance).where(*stopped).values(**who, **values))
    return rows_changed(done) == 1


def _last_known() -> datetime | None:
    """What left before this is known here; None: nothing can have left at all.

    An attempt is noted by a worker alone, and none works on a stopped store: so the last one was at
    the moment of the backup or before, whatever people have done here since. Where there was none
    yet, nothing left before the first document was written.
    """
    last = db.session.scalar(select(func.max(Attempt.started_at)))
    return last or db.session.scalar(select(func.min(Document.created_at)))


# -- looking ---------------------------------------------------------------------------------------


def looks() -> dict[int, Look]:
    """How far each mailbox is, by its id; nothing once somebody has seen what came of it."""
    found = this_instance().found or {}
    return {int(box_id): Look(**look) for box_id, look in found.items() if "seen" not in look}


def waiting() -> int:
    """How many messages wait here, whatever for."""
    query = select(func.count()).where(Dispatch.state.in_(OPEN_STATES))
    return db.session.scalar(query) or 0


def unseen() -> int:
    """How many messages nobody could tell of, with the mailboxes that are signed in now."""
    boxes = db.session.scalars(select(Mailbox).where(Mailbox.refresh_token.is_not(None)))
    readable = {box.id for box in boxes if box.can_read_sent and not box.is_elsewhere}
    return sum(len(found) for found in _unseen(readable))


def left_to_people() -> list[Dispatch]:
    """What waits for a person because of a restore, oldest first."""
    waits = Dispatch.state == State.UNKNOWN, Dispatch.needs_person.is_(True)
    said = Dispatch.state_note.startswith(RESTORED)
    query = select(Dispatch).where(*waits, said).order_by(Dispatch.id)
    return list(db.session.scalars(query).unique())


def left_of_batches() -> dict[int, str]:
    """Whatever of batches was not sent because nobody can tell whether it had left: the numbers of
    the documents, by their ids."""
    left = BatchItem.state == ItemState.LEFT, BatchItem.problem == CANNOT_TELL
    items = select(BatchItem.document_id).where(*left)
    documents = select(Document.id, Document.number).where(Document.id.in_(items))
    return {one.id: one.number for one in db.session.execute(documents.order_by(Document.id))}


def is_due() -> bool:
    """Whether Sent is to be looked through, and nobody does. Commits."""
    with reading():
        return db.session.scalar(select(Instance.id).where(_waits())) is not None


def _waits() -> ColumnElement[bool]:
    stopped = and_(Instance.stopped_at.is_not(None), Instance.choice == "real")
    return and_(stopped, lapsed(Instance.looking_until, LOOKING))


def settle(ends: float = math.inf) -> None:
    """Look through Sent of every mailbox, as far as it goes before `ends` (monotonic).

    It goes on where it, or another worker, stopped. Once all are done, mail may leave.
    """
    if not journal.write(_take):
        return
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    with reading():
        left = [box_id for box_id, look in looks().items() if not look.is_over]
    with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="look") as pool:
        list(pool.map(lambda box_id: _look_in_thread(app, box_id, ends), left))
    with reading():
        after = looks()
    if all(one.is_over for one in after.values()):
        known = _recognised({one["token"] for look in after.values() for one in look.strangers})
        journal.write(lambda: _let_go(known))
        queueing.ring()
    else:
        journal.write(lambda: _renew(AGAIN))


def _take() -> bool:
    taken = update(Instance).where(_waits()).values(looking_until=db_now(LOOKING))
    return rows_changed(db.session.execute(taken)) == 1


def _renew(seconds: float = LOOKING) -> None:
    db.session.execute(update(Instance).values(looking_until=db_now(seconds)))


def _look_in_thread(app: Flask, mailbox_id: int, ends: float) -> None:
    with app.app_context():
        look = _case(mailbox_id)
        try:
            _look_through(mailbox_id, look, ends)
        except (NeedsSignIn, NeedsPermission) as problem:
            mailboxes.mark_broken(mailbox_id, problem)
            look.state, look.problem = "stuck", problem.message
        except (TryLater, OperatorProblem) as problem:
            look.problem = problem.message
        except ProviderAnswer as problem:
            look.state, look.problem = "stuck", problem.message
        journal.write(lambda: _keep(mailbox_id, look))


def _case(mailbox_id: int) -> Look:
    with reading():
        return looks()[mailbox_id]


def _look_through(mailbox_id: int, look: Look, ends: float) -> None:
    with reading():
        box = db.session.get_one(Mailbox, mailbox_id, populate_existing=True)
        signed_in = box.refresh_token is not None and not box.is_elsewhere
        waits, why_not, since = _waiting_for(mailbox_id), box.why_not, this_instance().back_to
        units = ledger.units_of(box)
    if since is None:
        look.state = "done"
    elif not signed_in and not waits:
        look.state = "closed"
    elif not signed_in:
        look.state, look.problem = "stuck", why_not or "It has no sign-in."
    elif not box.can_read_sent:
        look.state = "blind"
        journal.write(lambda: _leave_to_person(mailbox_id, look.mailbox))
    else:
        provider = mailboxes.provider_for(box)
        _read_through(mailbox_id, look, provider, pace.Meter(units, spent=0), since - SLACK, ends)


def _read_through(
    mailbox_id: int, look: Look, provider: Provider, meter: pace.Meter, since: datetime, ends: float
) -> None:
    if look.state != "reading":
        if provider.two_phase:
            _adopt_drafts(mailbox_id, provider)
        look.state, look.problem = "reading", ""
    ids = provider.sent_since(since)
    unread = ids[ids.index(look.last) + 1 :] if look.last in ids else ids
    look.total, look.read = len(ids), len(ids) - len(unread)
    for start in range(0, len(unread), CHUNK):
        if queueing.stopping.is_set() or time.monotonic() > ends:
            return
        chunk = unread[start : start + CHUNK]
        copies = list(copies_of(provider, meter, chunk))
        look.read, look.last, look.problem = look.read + len(chunk), chunk[-1], ""
        journal.write(lambda copies=copies: _compare(mailbox_id, look, copies))  # type: ignore[misc]
    look.state = "done"


def copies_of(provider: Provider, meter: pace.Meter, ids: Iterable[str]) -> Iterator[SentCopy]:
    """Sent copies, read at the pace of a meter; without those that are gone."""
    for message_id in ids:
        at = meter.reserve(provider.reading_units, time.monotonic())
        time.sleep(max(0.0, at - time.monotonic()))
        try:
            yield provider.sent_copy(message_id)
        except Gone:  # its owner has just thrown it away
            continue


def _adopt_drafts(mailbox_id: int, provider: Provider) -> None:
    """A draft that was made after the backup is used rather than made a second time."""
    ours = {token: draft for draft, token in itertools.islice(provider.drafts(), DRAFTS_MOST)}
    ours.pop("", None)

    def keep() -> None:
        for token, draft_id in ours.items():
            mine = Dispatch.token == token, Dispatch.state.in_(OPEN_STATES), _belongs_to(mailbox_id)
            adopted = update(Dispatch).where(*mine).values(draft_id=draft_id)
            db.session.execute(adopted.execution_options(synchronize_session=False))

    journal.write(keep)


# -- what is found ---------------------------------------------------------------------------------


def _compare(mailbox_id: int, look: Look, copies: list[SentCopy]) -> None:
    """Settle what is known here, list what is not, note how far it got. No commit."""
    ours = {one.token: one for one in copies if one.token}
    known, settled = settle_found(mailbox_id, look.mailbox, ours)
    look.settled += settled
    listed = {one["id"] for one in look.strangers}
    strangers = [one for one in ours.values() if one.token not in known]
    look.strangers += [_stranger(one) for one in strangers if one.message_id not in listed]
    _keep(mailbox_id, look)
    _renew()


def settle_found(mailbox_id: int, email: str, ours: dict[str, SentCopy]) -> tuple[set[str], int]:
    """Settle what is known here of the sent copies of a mailbox, by their tokens. No commit.

    The tokens that are known, and how many were settled.
    """
    rows = select(Dispatch.id, Dispatch.token, _belongs_to(mailbox_id).label("belongs"))
    known = db.session.execute(rows.where(Dispatch.token.in_(ours))).all()
    settled = 0
    for one in known:
        if not one.belongs:
            _found_elsewhere(one.id, ours[one.token], email)
        elif found_sent(one.id, ours[one.token], UNSETTLED, mailbox_id=mailbox_id):
            settled += 1
    return {one.token for one in known}, settled


def _belongs_to(mailbox_id: int) -> ColumnElement[bool]:
    """Whether what bears a dispatch's mark in a mailbox is that dispatch.

    Anybody can put a mail with any mark into a mailbox of their own. A company's mailbox may have
    been given it after the backup, and the company answers for what is in there.
    """
    accepted = Address.mailbox_id == mailbox_id, Address.verification == "accepted"
    may_send_as = select(Address.email).where(*accepted)
    homeless = and_(Dispatch.mailbox_id.is_(None), func.lower(Dispatch.from_email).in_(may_send_as))
    company = select(Mailbox.id).where(Mailbox.id == mailbox_id, Mailbox.owner_id.is_(None))
    return or_(Dispatch.mailbox_id == mailbox_id, homeless, company.exists())


def _found_elsewhere(dispatch_id: int, copy: SentCopy, email: str) -> None:
    """Its mark was found where it does not belong: a person decides. No commit."""
    note = FOUND_ELSEWHERE.format(copy.subject[:200], email)
    if not _ask_person(dispatch_id, note):  # nor is one looked up that waits for that
        _ask_person(dispatch_id, note, (State.UNKNOWN,))


def _stranger(copy: SentCopy) -> dict[str, Any]:
    return {
        "id": copy.message_id,
        "token": copy.token,
        "at": copy.at.isoformat() if copy.at else "",
        "to": copy.to,
        "subject": copy.subject,
        "document": None,
    }


def _keep(mailbox_id: int, look: Look) -> None:
    """Note how far it got, unless somebody has decided to go on without. No commit."""
    query = select(Instance).with_for_update().execution_options(populate_existing=True)
    one = db.session.scalars(query).one()
    if one.found.get(str(mailbox_id), {}).get("state") != "skipped":
        one.found = {**one.found, str(mailbox_id): asdict(look)}
        db.session.flush()


def _waiting_for(mailbox_id: int) -> bool:
    """Whether anything in the database could have left through a mailbox since."""
    item = BatchItem.state == ItemState.PENDING, BatchItem.mailbox_id == mailbox_id
    frozen = db.session.scalar(select(Dispatch.id).where(_open_in(mailbox_id)).limit(1))
    return bool(frozen or db.session.scalar(select(BatchItem.id).where(*item).limit(1)))


def _open_in(mailbox_id: int) -> ColumnElement[bool]:
    may_send_as = select(Address.email).where(Address.mailbox_id == mailbox_id)
    homeless = and_(Dispatch.mailbox_id.is_(None), func.lower(Dispatch.from_email).in_(may_send_as))
    mine = or_(Dispatch.mailbox_id == mailbox_id, homeless)
    return and_(mine, Dispatch.state.in_(OPEN_STATES))


def _leave_to_person(mailbox_id: int, email: str) -> None:
    """Nobody can see what left through it: a person decides on each. No commit."""
    before = Dispatch.requested_at < this_instance().stopped_at
    ids = db.session.scalars(select(Dispatch.id).where(_open_in(mailbox_id), before)).all()
    note = BLIND.format(email)
    for dispatch_id in ids:
        _ask_person(dispatch_id, note)
    _leave_items(CANNOT_TELL, BatchItem.mailbox_id == mailbox_id)


def _ask_person(dispatch_id: int, note: str, states: tuple[State, ...] = TO_LEAVE) -> bool:
    """Whether it was in one of these states, and now waits for a person. No commit."""
    values = {"state_note": note, "needs_person": True, "settle_after": None, "lease_until": None}
    if not move(dispatch_id, states, State.UNKNOWN, **values):
        return False
    tell(dispatch_id, note)
    return True


def _leave_items(why: str, *which: ColumnElement[bool]) -> None:
    """Documents of a completed batch that no worker has taken up are not sent by themselves."""
    said = {"problem_code": "restored", "problem": why, "hint": "", "fix": ""}
    left = update(BatchItem).where(BatchItem.state == ItemState.PENDING, *which)
    left = left.values(state=ItemState.LEFT, lease_until=None, **said)
    ids = db.session.scalars(left.returning(BatchItem.document_id)).all()
    for start in range(0, len(ids), 500):
        show_unsent(Document.id.in_(ids[start : start + 500]))


def _leave_unseen() -> None:
    """What may have left through a mailbox that is not known here: a person decides. No commit."""
    messages, items = _unseen({box_id for box_id, look in looks().items() if look.state == "done"})
    for dispatch_id, email in messages.items():
        _ask_person(dispatch_id, UNSEEN.format(email))
    for start in range(0, len(items), 500):
        _leave_items(CANNOT_TELL, BatchItem.id.in_(items[start : start + 500]))


def _unseen(looked: set[int]) -> tuple[dict[int, str], list[int]]:
    """What no look can tell of: From by message, and the pending items of batches.

    looked: the mailboxes whose Sent is read. What waits for its address to become ready may have
    left through any that was connected since; so it counts as seen only where one that carries it
    now is among these.
    """
    before, addresses = this_instance().stopped_at, mailboxes.send_from_addresses()

    @functools.cache
    def carried(email: str, asker_id: int | None) -> bool:
        found = find(email, addresses, asker_id)
        ready = trouble_with(email, found)[0] is None
        return ready and found is not None and found.mailbox_id in looked

    def seen(one: Any) -> bool:
        if one.state == State.HELD:
            return carried(one.from_email, one.requested_by_id)
        return one.mailbox_id in looked

    columns = Dispatch.id, Dispatch.state, Dispatch.mailbox_id, Dispatch.from_email
    waits = Dispatch.state.in_(TO_LEAVE), Dispatch.requested_at < before
    messages = db.session.execute(select(*columns, Dispatch.requested_by_id).where(*waits))
    going = BatchItem.state == ItemState.PENDING, Batch.completed_at < before
    items = select(BatchItem.id, BatchItem.sender_email, Batch.completed_by_id)
    items = items.join(BatchItem.batch).where(*going)
    pending = db.session.execute(items)
    return (
        {one.id: one.from_email for one in messages if not seen(one)},
        [one.id for one in pending if not carried(one.sender_email, one.completed_by_id)],
    )


def _recognised(tokens: set[str]) -> dict[str, tuple[int, Purpose]]:
    """Which document, sent for what, the sent copies show whose rows the database has lost."""
    if not tokens:
        return {}
    last = (
        select(Dispatch.document_id, Dispatch.purpose, func.max(Dispatch.sending_number))
        .where(Dispatch.document_id.is_not(None))
        .group_by(Dispatch.document_id, Dispatch.purpose)
    )
    found: dict[str, tuple[int, Purpose]] = {}
    with reading():
        key = this_instance().key
        numbers = {(row[0], row[1]): row[2] for row in db.session.execute(last)}
        documents = select(Document.id, Document.created_at).execution_options(yield_per=1000)
        for one in db.session.execute(documents):
            for purpose in (Purpose.DOCUMENT, Purpose.TEST):
                first = numbers.get((one.id, purpose), 0) + 1
                for number in range(first, first + NUMBERS_AHEAD):
                    token = token_of(key, one.id, one.created_at, purpose, number)
                    if token in tokens:
                        found[token] = one.id, purpose
    return found


def _let_go(known: dict[str, tuple[int, Purpose]]) -> None:
    """All is looked through: this store is the one now, and mail may leave. No commit."""
    one = this_instance()
    if one.stopped_at is None or one.choice != "real":
        return
    left = [document_id for document_id, purpose in known.values() if purpose == Purpose.DOCUMENT]
    for start in range(0, len(left), 500):
        _leave_items(LEFT_ALREADY, BatchItem.document_id.in_(left[start : start + 500]))
    _leave_unseen()
    one.found = {
        box_id: {**look, "strangers": [_named(it, known) for it in look["strangers"]]}
        for box_id, look in one.found.items()
    }
    settle_here(one)
    log.info("The store is confirmed: mail may leave again.")


def _named(stranger: dict[str, Any], known: dict[str, tuple[int, Purpose]]) -> dict[str, Any]:
    document_id, purpose = known.get(stranger["token"], (None, None))
    return {**stranger, "document": document_id, "test": purpose == Purpose.TEST}
