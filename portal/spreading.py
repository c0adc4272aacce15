"""Spreading: a batch's mail shared among the company's mailboxes that may send as its address.

Only what no attempt has touched is moved, from the company's mailboxes to the company's, and its
address stays what it was: the same message leaves through another mailbox. What a person waits for
stays where it is, as does all that goes by somebody's own mailbox, and everything where the company
wants each batch to leave through one mailbox.
"""

from collections.abc import Iterable
from functools import partial

from sqlalchemy import ColumnElement, and_, func, insert, select, update

from portal import journal, ledger, mailboxes, pace
from portal.columns import now
from portal.dispatch import Dispatch, Event, Lane, State
from portal.extensions import db
from portal.mailboxes import Address, Mailbox
from portal.people import Company
from portal.stores import reading

#: So many are moved by one statement; the writer's other threads wait for it.
AT_ONCE = 500
MOVED = "It goes through {}, which may use the same address, so that it leaves sooner."


def carriers(emails: Iterable[str]) -> dict[str, list[Mailbox]]:
    """The company's mailboxes that may send now as each of these addresses, the default one first.

    An address that none of them may send as is left out.
    """
    wanted = {one.lower() for one in emails}
    query = select(Address).join(Address.mailbox).where(Address.email.in_(wanted))
    query = query.where(mailboxes.of_company(), Mailbox.held_at.is_(None))
    query = query.order_by(Mailbox.is_company_default.desc(), Mailbox.id)
    found: dict[str, list[Mailbox]] = {}
    for one in db.session.scalars(query).unique():
        if _may_carry(one):
            found.setdefault(one.email, []).append(one.mailbox)
    return found


def _may_carry(one: Address) -> bool:
    known = mailboxes.send_from(one.mailbox, one.email)
    return known is not None and known.can_send and known.verification == "accepted"


def spread() -> int:
    """Even out what waits for the company's mailboxes; how many messages were moved. Commits."""
    with reading():
        shared = _addresses_of_several()
        found = carriers(shared) if shared else {}
    several = {email: boxes for email, boxes in found.items() if len(boxes) > 1}
    return sum(_even_out(email, boxes) for email, boxes in several.items())


def _addresses_of_several() -> list[str]:
    """Addresses that several of the company's mailboxes have, and that a batch's mail waits for.

    None where the company does not want its batches shared.
    """
    company = select(Mailbox.id).where(mailboxes.of_company())
    busy = select(Dispatch.id).where(Dispatch.mailbox_id == Mailbox.id, _movable()).limit(1)
    waiting = select(Mailbox.id).where(mailboxes.of_company(), busy.exists())
    if db.session.scalar(waiting.limit(1)) is None:
        return []
    accepted = Address.mailbox_id.in_(company), Address.verification == "accepted"
    wanted = select(Company.id).where(Company.share_batches.is_(True))
    query = select(Address.email).where(*accepted, wanted.exists()).group_by(Address.email)
    return list(db.session.scalars(query.having(func.count() > 1)))


def _even_out(email: str, boxes: list[Mailbox]) -> int:
    with reading():
        over = _too_many(email, boxes)
    return _carry_out(email, over, {one.id: one.email for one in boxes}) if over else 0


def _too_many(email: str, boxes: list[Mailbox]) -> dict[int, int]:
    """By mailbox, how many more wait for it than it should have; fewer than none: how many less."""
    queued, movable = ledger.waiting_in([one.id for one in boxes]), _counts(email, boxes)
    if not movable:
        return {}
    as_it_is = [
        ledger.load(one, movable.get(one.id, 0), queued.get(one.id, 0) - movable.get(one.id, 0))
        for one in boxes
    ]
    better = pace.evened(as_it_is, now())
    return {one.mailbox_id: movable.get(one.mailbox_id, 0) - one.waiting for one in better}


def _carry_out(email: str, over: dict[int, int], emails: dict[int, str]) -> int:
    """Move what is over, the last of each mailbox first, to where something is lacking."""
    moved = 0
    for giver, surplus in over.items():
        for taker in over:
            count = min(surplus, -over[taker])
            if giver == taker or count <= 0:
                continue
            surplus, over[taker] = surplus - count, over[taker] + count
            moved += _move(email, giver, taker, count, MOVED.format(emails[taker]))
    return moved


def _move(email: str, giver: int, taker: int, count: int, words: str) -> int:
    moved = 0
    while moved < count:
        size = min(AT_ONCE, count - moved)
        done = journal.write(partial(_move_some, email, giver, taker, size, words))
        moved += done
        if done < size:
            break
    return moved


def _move_some(email: str, giver: int, taker: int, count: int, words: str) -> int:
    mine = and_(Dispatch.mailbox_id == giver, _of(email), _movable())
    last = select(Dispatch.id).where(mine).order_by(Dispatch.id.desc()).limit(count)
    moved = db.session.scalars(
        update(Dispatch)
        .where(Dispatch.id.in_(last), mine)
        .values(mailbox_id=taker)
        .returning(Dispatch.id)
        .execution_options(synchronize_session=False)
    ).all()
    if moved:
        rows = [{"dispatch_id": one, "at": now(), "actor": "", "text": words} for one in moved]
        db.session.execute(insert(Event), rows)
    return len(moved)


def _counts(email: str, boxes: list[Mailbox]) -> dict[int, int]:
    ids = [one.id for one in boxes]
    query = select(Dispatch.mailbox_id, func.count()).group_by(Dispatch.mailbox_id)
    query = query.where(Dispatch.mailbox_id.in_(ids), _of(email), _movable())
    return {box_id: count for box_id, count in db.session.execute(query) if box_id is not None}


def _of(email: str) -> ColumnElement[bool]:
    return func.lower(Dispatch.from_email) == email


def _movable() -> ColumnElement[bool]:
    """A batch's mail in the queue that no provider has heard of yet."""
    return and_(
        Dispatch.state == State.QUEUED,
        Dispatch.lane == Lane.BATCH,
        Dispatch.attempt == 0,
        Dispatch.draft_id.is_(None),
    )
