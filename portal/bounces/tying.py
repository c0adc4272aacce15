"""Tying: which sending an arrival is about, and how sure that is.

What only whoever has the mail itself can know ties for certain: our own mark, or the Message-ID
that it bore. A thread is the mailbox's word for the same. Recipient and time are a guess, which
changes nothing until a person has said that it is so: anybody can write such a mail.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from portal.bounces.tables import Tie
from portal.dispatch import Dispatch, State
from portal.extensions import db
from portal.incoming import Clues, Letter, Sort
from portal.people import address_key

#: A Message-ID of ours holds the token of its dispatch (dispatch.freezing.message_id_of).
TOKEN = re.compile(r"^<?([0-9a-f]{32})@")
#: So many clues are looked at; a letter that names more is no answer to one mail.
MOST_CLUES = 20
#: A report comes back within so long; what left earlier is not guessed at.
GUESS_WITHIN = timedelta(days=6)
#: So many of the newest sendings of a mailbox are looked through for a guess.
GUESS_AMONG = 2000
#: What may be tied by a guess: a report names whom it is about, everything else could be chance.
GUESSED = (Sort.BOUNCE, Sort.DELAY)


@dataclass(frozen=True)
class Found:
    """The sending that an arrival is about, and by what that is known."""

    dispatch_id: int
    tie: Tie


def tied(letter: Letter, mailbox_id: int, at: datetime) -> Found | None:
    """The sending that a letter is about; None where nothing says so."""
    return by_clues(letter.clues, mailbox_id) or _by_guess(letter, mailbox_id, at)


def by_clues(clues: Clues, mailbox_id: int) -> Found | None:
    """The sending that its clues name for certain."""
    ids = [one.strip() for one in clues.message_ids[:MOST_CLUES] if one.strip()]
    tokens = [*clues.tokens[:MOST_CLUES], *filter(None, map(token_in, ids))]
    found = _first(Dispatch.token, tokens)
    if found is not None:
        return Found(found, Tie.TOKEN)
    found = _first(Dispatch.proof_message_id, _both_forms(ids))
    if found is not None:
        return Found(found, Tie.MESSAGE_ID)
    return _by_thread(clues.thread_id, mailbox_id)


def token_in(message_id: str) -> str | None:
    """The token of the dispatch whose message bears this Message-ID; None where it is not ours."""
    found = TOKEN.match(message_id)
    return found[1] if found else None


def _both_forms(ids: Iterable[str]) -> list[str]:
    """With and without the angle brackets, as one provider or another tells them."""
    bare = [one.strip("<>") for one in ids]
    return [form for one in bare if one for form in (f"<{one}>", one)]


def _first(column: object, wanted: list[str]) -> int | None:
    """The dispatch that the earliest of these names: clues come best first."""
    if not wanted:
        return None
    rows = db.session.execute(select(column, Dispatch.id).where(column.in_(wanted)))  # type: ignore[attr-defined,call-overload]
    by_value: dict[str, int] = dict(rows.all())
    return next((by_value[one] for one in wanted if one in by_value), None)


def _by_thread(thread_id: str, mailbox_id: int) -> Found | None:
    """Its mailbox keeps it together with what left from there."""
    if not thread_id:
        return None
    same = Dispatch.thread_id == thread_id, Dispatch.mailbox_id == mailbox_id
    newest = select(Dispatch.id).where(*same).order_by(Dispatch.id.desc()).limit(1)
    found = db.session.scalar(newest)
    return None if found is None else Found(found, Tie.THREAD)


def _by_guess(letter: Letter, mailbox_id: int, at: datetime) -> Found | None:
    """The newest sending to whom it failed for, not long before."""
    named = {address_key(one.email) for one in letter.failed if one.email}
    named |= {address_key(one) for one in letter.clues.recipients}
    if letter.sort not in GUESSED or not named:
        return None
    lately = Dispatch.accepted_at.between(at - GUESS_WITHIN, at)
    left = Dispatch.state.in_((State.ACCEPTED, State.RETURNED))
    query = (
        select(Dispatch.id, Dispatch.to, Dispatch.cc)
        .where(Dispatch.mailbox_id == mailbox_id, lately, left)
        .order_by(Dispatch.accepted_at.desc())
        .limit(GUESS_AMONG)
    )
    for id_, to, cc in db.session.execute(query):
        if named & {address_key(one) for one in (*to, *cc)}:
            return Found(id_, Tie.GUESS)
    return None
