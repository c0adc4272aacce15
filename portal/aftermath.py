"""Aftermath: what a restore left to people, looked for in a mailbox that is connected only later.

When a restored portal was confirmed, what may have left through a mailbox that could not be read
went to a person (restoration.py). Once such a mailbox can be read, its Sent tells of the time
between the backup and that moment: what is there is settled, with its sent copy as the proof; of
what is not there the person is told so, and decides. Nothing is sent because of it.
"""

import bisect
import logging
import math
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import partial

from sqlalchemy import ColumnElement, Update, or_, select, update

from portal import journal, ledger, logs, mailboxes, pace, queueing
from portal.columns import db_now, lapsed
from portal.dispatch import Dispatch, State, move, tell
from portal.envelope import (
    NeedsPermission,
    NeedsSignIn,
    OperatorProblem,
    ProviderAnswer,
    SentCopy,
    TryLater,
)
from portal.extensions import db
from portal.instance import Instance
from portal.instance import this as this_instance
from portal.mailboxes import Mailbox
from portal.providers.provider import Provider
from portal.restoration import (
    BLIND,
    CHUNK,
    LOOKING,
    SLACK,
    UNSEEN,
    Look,
    copies_of,
    settle_found,
)
from portal.senders import SendFrom, find, trouble_with
from portal.stores import reading, rows_changed

#: Whoever broke off, or found nothing more to do, leaves it alone for so many seconds.
AGAIN = 60.0
#: Mail goes on meanwhile: so large a part of the mailbox's pace is used.
PART = 4
NOT_THERE = (
    "The database was restored. It is not in Sent of {}, so it had not left through that mailbox. "
    "Where no other can have sent it, it did not leave."
)
#: How the notes begin of what a mailbox may still tell of.
BLIND_NOTE, UNSEEN_NOTE = (one.partition("{")[0] for one in (BLIND, UNSEEN))

log = logging.getLogger(__name__)


def look(ends: float = math.inf) -> None:
    """Look for what waits for a person, in each mailbox that can be read by now.

    It goes on where it, or another worker, stopped. ends: when (monotonic) to read no more.
    """
    with reading():
        cases = _cases()
    if not cases or not journal.write(_take):
        return
    for mailbox_id, dispatch_ids in cases.items():
        with logs.about(mailbox=mailbox_id):
            _look_in(mailbox_id, dispatch_ids, ends)
    journal.write(lambda: _renew(AGAIN))


def _take() -> bool:
    free = Instance.stopped_at.is_(None), lapsed(Instance.looking_until, LOOKING)
    return rows_changed(db.session.execute(_leased(LOOKING).where(*free))) == 1


def _renew(seconds: float = LOOKING) -> None:
    db.session.execute(_leased(seconds).where(Instance.stopped_at.is_(None)))


def _leased(seconds: float) -> Update:
    return update(Instance).values(looking_until=db_now(seconds))


# -- what there is to look for ---------------------------------------------------------------------


def _cases() -> dict[int, list[int]]:
    """The dispatches that a mailbox can tell of now, by its id."""
    query = select(Dispatch).where(Dispatch.state == State.UNKNOWN, *_nobody_could_tell())
    left = db.session.scalars(query.order_by(Dispatch.id)).unique().all()
    if not left or this_instance().back_to is None:
        return {}
    readable = {box.id for box in db.session.scalars(select(Mailbox)) if _is_readable(box)}
    addresses, found = mailboxes.send_from_addresses(), dict[int, list[int]]()
    for one in left:
        teller = _teller(one, addresses)
        if teller in readable:
            found.setdefault(teller, []).append(one.id)
    return found


def _nobody_could_tell() -> Iterator[ColumnElement[bool]]:
    yield Dispatch.needs_person.is_(True)
    yield or_(*(Dispatch.state_note.startswith(one) for one in (BLIND_NOTE, UNSEEN_NOTE)))


def _is_readable(box: Mailbox) -> bool:
    return box.can_send and box.can_read_sent and not box.is_paused


def _teller(one: Dispatch, addresses: Sequence[SendFrom]) -> int | None:
    """The mailbox that would show it: the one it was to leave through; where that was not known,
    the one that carries its address now."""
    if one.mailbox_id is not None and one.state_note.startswith(BLIND_NOTE):
        return one.mailbox_id
    found = find(one.from_email, addresses, one.requested_by_id)
    ready = trouble_with(one.from_email, found)[0] is None
    return found.mailbox_id if ready and found is not None else None


# -- looking ---------------------------------------------------------------------------------------


def _look_in(mailbox_id: int, dispatch_ids: Collection[int], ends: float) -> None:
    try:
        through = _read(mailbox_id, ends)
    except (NeedsSignIn, NeedsPermission) as problem:
        mailboxes.mark_broken(mailbox_id, problem)
    except (TryLater, OperatorProblem) as problem:
        ledger.obey(mailbox_id, problem)
    except ProviderAnswer as problem:
        log.info("could not be looked through after the restore: %s", problem.words)
    else:
        if through:
            journal.write(lambda: _say_not_there(mailbox_id, dispatch_ids))


def _read(mailbox_id: int, ends: float) -> bool:
    """Read what left between the backup and the day it was confirmed; whether all of it is read."""
    with reading():
        box = db.session.get_one(Mailbox, mailbox_id, populate_existing=True)
        one, email, units = this_instance(), box.email, ledger.units_of(box)
        since, until, last = one.back_to, one.confirmed_at, _last_read(one, mailbox_id)
    assert since is not None and until is not None  # it was confirmed, else nothing were left
    provider = mailboxes.provider_for(box)
    meter = pace.Meter(max(1, units // PART), spent=0)
    ids = _between(provider, meter, since - SLACK, until + SLACK)
    unread = ids[ids.index(last) + 1 :] if last in ids else ids
    for start in range(0, len(unread), CHUNK):
        if queueing.stopping.is_set() or time.monotonic() > ends:
            return False
        chunk = unread[start : start + CHUNK]
        copies = list(copies_of(provider, meter, chunk))
        journal.write(partial(_settle, mailbox_id, email, copies, chunk[-1]))
    return True


def _between(provider: Provider, meter: pace.Meter, since: datetime, until: datetime) -> list[str]:
    """The ids of what was sent in a stretch of time, newest first."""
    ids = provider.sent_since(since)

    def is_older(message_id: str) -> bool:
        at = next((one.at for one in copies_of(provider, meter, [message_id])), None)
        return at is None or at <= until

    return ids[bisect.bisect_left(ids, True, key=is_older) :]


def _settle(mailbox_id: int, email: str, copies: list[SentCopy], last: str) -> None:
    settle_found(mailbox_id, email, {one.token: one for one in copies if one.token})
    one = this_instance()
    known = one.found.get(str(mailbox_id)) or {**asdict(Look(email)), "seen": True}
    one.found = {**one.found, str(mailbox_id): {**known, "later": last}}
    db.session.flush()
    _renew()


def _last_read(one: Instance, mailbox_id: int) -> str:
    return str(one.found.get(str(mailbox_id), {}).get("later", ""))


def _say_not_there(mailbox_id: int, dispatch_ids: Collection[int]) -> None:
    note = NOT_THERE.format(db.session.get_one(Mailbox, mailbox_id).email)
    unknown = (State.UNKNOWN,)
    for dispatch_id in dispatch_ids:
        if move(dispatch_id, unknown, State.UNKNOWN, *_nobody_could_tell(), state_note=note):
            tell(dispatch_id, note)
