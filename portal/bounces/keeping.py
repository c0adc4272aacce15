"""Keeping: what is stored of a message that came in, and what waits for the sending it is about."""

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import delete, exists, or_, select

from portal import journal
from portal.bounces.following import follow
from portal.bounces.tables import Arrival, Standing
from portal.bounces.tying import by_clues, tied
from portal.columns import now
from portal.dispatch import Dispatch, Proof, State
from portal.extensions import db
from portal.incoming import Clues, Letter, Sort
from portal.providers.provider import Incoming
from portal.stores import reading

#: A message that could not be fetched so often is left alone.
MOST_TRIES = 3
#: What nobody can place yet waits so long for a result to be stored, then it is forgotten.
WAITS = timedelta(days=2)
#: What is worth waiting for: everything else is answered by the next one of its kind.
WAITED_FOR = (Sort.BOUNCE, Sort.LIMIT, Sort.REPLY)
#: So many are looked at again at a time.
AT_ONCE = 200


def known(mailbox_id: int, ids: Collection[str]) -> set[str]:
    """Those of a mailbox's messages that are stored already."""
    mine = Arrival.mailbox_id == mailbox_id, Arrival.provider_id.in_(ids)
    stored = select(Arrival.provider_id).where(*mine, Arrival.standing != Standing.BROKEN)
    return set(db.session.scalars(stored))


def keep(mailbox_id: int, one: Incoming, letter: Letter) -> Arrival | None:
    """Store a message that concerns a sending, or may, with all that follows; None for any other.

    No commit; the same message again changes nothing.
    """
    row = _stored(mailbox_id, one.id)
    if letter.sort == Sort.OTHER or (row is not None and row.standing != Standing.BROKEN):
        return None
    at = one.at or letter.at or now()
    found = tied(letter, mailbox_id, at)
    if found is None and not _may_come(letter, mailbox_id):
        return None
    if found is not None and _told_before(found.dispatch_id, letter, at):
        return None
    if row is None:
        row = Arrival(mailbox_id=mailbox_id, provider_id=one.id)
        db.session.add(row)
    _write_down(row, one, letter)
    row.at, row.standing = at, Standing.WAITING
    if found is not None:
        row.dispatch_id, row.tied_by, row.subject = found.dispatch_id, found.tie, letter.subject
        follow(row)
    db.session.flush()
    return row


def broke(mailbox_id: int, provider_id: str, words: str) -> bool:
    """A message could not be fetched, while others could: whether it is given up. No commit."""
    row = _stored(mailbox_id, provider_id)
    if row is None:
        row = Arrival(mailbox_id=mailbox_id, provider_id=provider_id, at=now(), tries=0)
        row.standing = Standing.BROKEN
        db.session.add(row)
    row.tries, row.problem = row.tries + 1, words[:500]
    db.session.flush()
    return row.tries >= MOST_TRIES


def look_again() -> int:
    """Place what came before its result was stored; how many. Commits as it goes."""
    with reading():
        standing = Arrival.standing.in_((Standing.WAITING, Standing.EARLY))
        query = select(Arrival.id).where(standing).order_by(Arrival.seen_at.desc())
        ids = list(db.session.scalars(query.limit(AT_ONCE)))
    placed = sum(journal.write(partial(_place, id_)) for id_ in ids)
    if ids:
        journal.write(_forget_old)
    return placed


def _stored(mailbox_id: int, provider_id: str) -> Arrival | None:
    mine = Arrival.mailbox_id == mailbox_id, Arrival.provider_id == provider_id
    return db.session.scalar(select(Arrival).where(*mine))


def _told_before(dispatch_id: int, letter: Letter, at: datetime) -> bool:
    """Whether the same is stored under another id: a mail server may number its messages anew."""
    same = (
        Arrival.dispatch_id == dispatch_id,
        Arrival.sort == letter.sort,
        Arrival.sender == letter.sender,
        Arrival.at == at,
    )
    failed = [asdict(one) for one in letter.failed]
    return failed in db.session.scalars(select(Arrival.failed).where(*same))


def _write_down(row: Arrival, one: Incoming, letter: Letter) -> None:
    """Nothing of its text, and its subject only once it is known to be about a sending."""
    row.sort, row.sender, row.sender_name = letter.sort, letter.sender, letter.sender_name
    row.failed = [asdict(failed) for failed in letter.failed]
    row.verdict = letter.failed[0].verdict if letter.failed else ""
    row.clues = _as_kept(letter.clues)
    row.whole, row.link, row.problem = letter.read == "whole", one.link, ""


def _as_kept(clues: Clues) -> dict[str, Any]:
    return {
        "message_ids": list(clues.message_ids),
        "tokens": list(clues.tokens),
        "thread_id": clues.thread_id,
    }


def _as_read(kept: dict[str, Any]) -> Clues:
    ids, tokens = (tuple(kept.get(name, ())) for name in ("message_ids", "tokens"))
    return Clues(ids, tokens, kept.get("thread_id", ""))


def _may_come(letter: Letter, mailbox_id: int) -> bool:
    """Whether the sending it is about may be known soon: some of this mailbox are open yet."""
    clues = letter.clues
    if letter.sort not in WAITED_FOR or not (clues.message_ids or clues.thread_id):
        return False
    unread = (Dispatch.state == State.ACCEPTED) & (Dispatch.proof == Proof.UNREAD)
    is_open = or_(Dispatch.state.in_((State.SUBMITTING, State.UNKNOWN)), unread)
    query = select(exists().where(Dispatch.mailbox_id == mailbox_id, is_open))
    return bool(db.session.scalar(query))


def _place(id_: int) -> bool:
    row = db.session.get(Arrival, id_, populate_existing=True)
    if row is None or row.standing not in (Standing.WAITING, Standing.EARLY):
        return False
    if row.standing == Standing.WAITING:
        found = by_clues(_as_read(row.clues), row.mailbox_id)
        if found is None:
            return False
        row.dispatch_id, row.tied_by = found.dispatch_id, found.tie
    follow(row)
    return row.standing == Standing.FOLLOWED


def _forget_old() -> None:
    waiting = Arrival.standing == Standing.WAITING
    db.session.execute(delete(Arrival).where(waiting, Arrival.seen_at < now() - WAITS))
