"""A journey: one way to a provider and back. Remembered in the session it began in, good for once.

The session is a cookie, so only the last few journeys are kept.
"""

import time
from dataclasses import asdict, dataclass
from enum import StrEnum

from flask import request, session

from portal.mailboxes import SIGN_INS
from portal.providers.signing import SignInProblem

KEY, ENDED_KEY = "journeys", "journeys_ended"
MOST = 2
LASTS = 3600


class Purpose(StrEnum):
    """What somebody goes to a provider for."""

    COMPANY = "company"
    OWN = "own"
    RECONNECT = "reconnect"


class Level(StrEnum):
    """How much the portal asks for."""

    FULL = "full"
    WHOLE = "whole"
    SEND_ONLY = "send"


@dataclass(frozen=True)
class Journey:
    """Who set out, what for, and when.

    link_id: the link they did it by, without signing in. kind: the kind of mailbox it leads to.
    """

    purpose: str
    level: str
    user_id: int
    mailbox_id: int | None
    began: float
    link_id: int | None = None
    kind: str = "gmail"


def set_out(journey: Journey, state: str) -> None:
    """Remember a journey under its state; the oldest one makes room."""
    under_way = dict(session.get(KEY, {}))
    under_way[state] = asdict(journey)
    while len(under_way) > MOST:
        oldest = min(under_way, key=lambda one: float(under_way[one]["began"]))
        _forget(Journey(**under_way.pop(oldest)), oldest)
    session[KEY] = under_way


def is_by_link() -> bool:
    """Whether somebody set out by a link with the state that is asked with."""
    begun = session.get(KEY, {}).get(request.args.get("state", ""))
    return bool(begun and begun.get("link_id"))


def come_back(state: str, user_id: int | None, kind: str, who: str) -> Journey:
    """End the journey with this state. Raises SignInProblem when there is none to end.

    user_id: who is signed in; None for a stranger, whose journey counts only if a link began it.
    kind, who: from where they come back, and what that is called.
    """
    if not state:
        raise SignInProblem("no_state", NO_STATE.format(who))
    if state[:8] in session.get(ENDED_KEY, []):
        raise SignInProblem("replayed", REPLAYED.format(who))
    under_way = dict(session.get(KEY, {}))
    if under_way.get(state, {}).get("kind", "gmail") != kind or state not in under_way:
        raise SignInProblem("foreign", FOREIGN)
    found = Journey(**under_way.pop(state))
    session[KEY] = under_way
    session[ENDED_KEY] = [state[:8], *session.get(ENDED_KEY, [])][:MOST]
    _refuse(found, state, user_id, who)
    return found


def _refuse(found: Journey, state: str, user_id: int | None, who: str) -> None:
    late = time.time() - found.began > LASTS
    foreign = found.user_id != user_id and not (user_id is None and found.link_id)
    if late or foreign:
        _forget(found, state)
    if foreign:
        raise SignInProblem("other_person", OTHER_PERSON.format(who))
    if late:
        raise SignInProblem("expired", EXPIRED.format(who))


def _forget(journey: Journey, state: str) -> None:
    SIGN_INS[journey.kind].forget(state)


NO_STATE = "{}'s answer did not say which sign-in it belongs to."
REPLAYED = "This answer of {}'s was used before. It counts only once."
FOREIGN = "This sign-in was not started here, in this browser and since you signed in."
OTHER_PERSON = "Somebody else started this sign-in with {}. Start your own."
EXPIRED = "More than an hour passed before {}'s answer came, so it no longer counts."
