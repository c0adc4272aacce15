"""Following: what an arrival means for the sending that it is about, and for the address.

Everything here happens within the caller's transaction, and twice the same arrival changes nothing
the second time.
"""

from collections.abc import Callable
from typing import Any

from portal.bounces import cautions
from portal.bounces.tables import Arrival, Standing, Tie
from portal.dispatch import Dispatch, Proof, State, accept, load, move, tell
from portal.incoming import Reason, Sort, sentence
from portal.people import address_key

#: A sending whose result is not stored yet: what came in waits for it.
BEFORE_ITS_RESULT = (State.QUEUED, State.SUBMITTING)
OVER_THE_LIMIT = (
    "The provider accepted it, and then wrote that the mailbox has reached its limit. Perhaps it "
    "was delivered all the same: ask the customer, or send it again tomorrow."
)
#: Where only the headers of a report may be read.
UNREAD = "It came back. Why stands in the mail itself, of which the portal may read only the head."


def follow(arrival: Arrival) -> None:
    """Do all that follows from an arrival that is tied to a sending. No commit."""
    assert arrival.dispatch_id is not None
    one = load(arrival.dispatch_id)
    if arrival.tied_by == Tie.GUESS:
        arrival.standing = Standing.ASKED
        return
    if one.state in BEFORE_ITS_RESULT and arrival.sort in PROVES_IT_LEFT:
        arrival.standing = Standing.EARLY
        return
    _had_left(one, arrival)
    arrival.standing = Standing.FOLLOWED
    FOLLOWS[Sort(arrival.sort)](one, arrival)


def _had_left(one: Dispatch, arrival: Arrival) -> None:
    """What is answered has left: that settles what was unclear."""
    certain = arrival.tied_by in (Tie.TOKEN, Tie.MESSAGE_ID)
    if one.state != State.UNKNOWN or not certain or arrival.sort not in PROVES_IT_LEFT:
        return
    when = one.handed_over_at or arrival.at
    values = {"proof": Proof.NOT_GRANTED, "accepted_at": when}
    if accept(one.id, (State.UNKNOWN,), **values):
        tell(one.id, "Settled: what came in answers it, so it had left.")


def _came_back(one: Dispatch, arrival: Arrival) -> None:
    note = came_back_words(one, arrival)
    if move(one.id, (State.ACCEPTED,), State.RETURNED, state_note=note):
        tell(one.id, f"Came back: {note}")
    else:
        move(one.id, (State.RETURNED,), State.RETURNED, state_note=_together(one, note))
        tell(one.id, f"Came back as well: {note}")
    for failed in arrival.failed:
        if _is_recipient(one, failed["email"]):
            cautions.put(failed, arrival.at, one.id)


def came_back_words(one: Dispatch, arrival: Arrival) -> str:
    """For whom it came back and why, in one line or two."""
    failed, whole = arrival.failed, arrival.whole
    if not failed:
        return "The report does not say for whom, or why." if whole else UNREAD
    each_said = (f"{each['email'] or 'A recipient'}: {brief(each, whole)}" for each in failed[:5])
    said = " ".join(each_said)
    named = {address_key(each["email"]) for each in failed}
    others = [each for each in (*one.to, *one.cc) if address_key(each) not in named]
    forwarded = not any(_is_recipient(one, each["email"]) for each in failed)
    if forwarded:
        return f"{said} It was not sent there: somebody who received it passes mail on."
    if not others:
        return said
    who = "the other recipient" if len(others) == 1 else f"the {len(others)} other recipients"
    return f"{said} Nothing came back for {who}."


def brief(failed: dict[str, Any], whole: bool = True) -> str:
    """What happened, without whose move it is. whole: the report itself could be read."""
    if failed["reason"] == Reason.UNKNOWN and not whole:
        return UNREAD
    first, _, _ = sentence(Reason(failed["reason"])).partition(". ")
    return first.rstrip(".") + "."


def _together(one: Dispatch, note: str) -> str:
    before = one.state_note
    return before if note in before else f"{before} {note}".strip()[:2000]


def _is_recipient(one: Dispatch, email: str) -> bool:
    return address_key(email) in {address_key(each) for each in (*one.to, *one.cc)}


def _is_late(one: Dispatch, arrival: Arrival) -> None:
    who = ", ".join(each["email"] for each in arrival.failed if each["email"])
    to = f" to {who}" if who else ""
    tell(one.id, f"Not delivered{to} yet: the mail server keeps trying.")


def _answered(one: Dispatch, arrival: Arrival) -> None:
    tell(one.id, f"{arrival.who} replied.")
    cautions.answered(arrival.sender, arrival.at)


def _answered_itself(one: Dispatch, arrival: Arrival) -> None:
    tell(one.id, f"An automatic answer came from {arrival.who}.")


def _challenged(one: Dispatch, arrival: Arrival) -> None:
    tell(one.id, f"{arrival.who} holds it back until somebody answers that mail by hand.")


def _over_the_limit(one: Dispatch, _arrival: Arrival) -> None:
    values = {"state_note": OVER_THE_LIMIT, "needs_person": True, "settle_after": None}
    if move(one.id, (State.ACCEPTED,), State.UNKNOWN, **values):
        tell(one.id, f"Unclear: {OVER_THE_LIMIT}")


def _arrived(one: Dispatch, _arrival: Arrival) -> None:
    tell(one.id, "The other side’s mail server, or the reader, confirmed that it arrived.")


def _nothing(_one: Dispatch, _arrival: Arrival) -> None:
    """Other mail is not stored, so nothing follows from it."""


FOLLOWS: dict[Sort, Callable[[Dispatch, Arrival], None]] = {
    Sort.BOUNCE: _came_back,
    Sort.DELAY: _is_late,
    Sort.REPLY: _answered,
    Sort.AUTO_REPLY: _answered_itself,
    Sort.CHALLENGE: _challenged,
    Sort.LIMIT: _over_the_limit,
    Sort.DELIVERED: _arrived,
    Sort.OTHER: _nothing,
}
#: Only what has left can be answered so.
PROVES_IT_LEFT = tuple(one for one in Sort if one not in (Sort.LIMIT, Sort.OTHER))
