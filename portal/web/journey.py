"""A journey: one way to Google and back. Remembered in the session it began in, and good for once.

The session is a cookie, so only the last few journeys are kept.
"""

import time
from dataclasses import asdict, dataclass
from enum import StrEnum

from flask import request, session

from portal.providers import google
from portal.providers.signing import SignInProblem

KEY, ENDED_KEY = "journeys", "journeys_ended"
MOST = 2
LASTS = 3600


class Purpose(StrEnum):
    """What somebody goes to Google for."""

    COMPANY = "company"
    OWN = "own"
    RECONNECT = "reconnect"


class Level(StrEnum):
    """How much the portal asks for."""

    FULL = "full"
    SEND_ONLY = "send"


@dataclass(frozen=True)
class Journey:
    """Who set out, what for, and when. link_id: the link they did it by, without signing in."""

    purpose: str
    level: str
    user_id: int
    mailbox_id: int | None
    began: float
    link_id: int | None = None


def set_out(journey: Journey, state: str) -> None:
    """Remember a journey under its state; the oldest one makes room."""
    under_way = dict(session.get(KEY, {}))
    under_way[state] = asdict(journey)
    while len(under_way) > MOST:
        oldest = min(under_way, key=lambda one: float(under_way[one]["began"]))
        del under_way[oldest]
        google.forget(oldest)
    session[KEY] = under_way


def is_by_link() -> bool:
    """Whether somebody set out by a link with the state that is asked with."""
    begun = session.get(KEY, {}).get(request.args.get("state", ""))
    return bool(begun and begun.get("link_id"))


def come_back(state: str, user_id: int | None) -> Journey:
    """End the journey with this state. Raises SignInProblem when there is none to end.

    user_id: who is signed in; None for a stranger, whose journey counts only if a link began it.
    """
    if not state:
        raise SignInProblem("no_state", NO_STATE)
    if state[:8] in session.get(ENDED_KEY, []):
        raise SignInProblem("replayed", REPLAYED)
    under_way = dict(session.get(KEY, {}))
    if state not in under_way:
        raise SignInProblem("foreign", FOREIGN)
    found = Journey(**under_way.pop(state))
    session[KEY] = under_way
    session[ENDED_KEY] = [state[:8], *session.get(ENDED_KEY, [])][:MOST]
    _refuse(found, state, user_id)
    return found


def _refuse(found: Journey, state: str, user_id: int | None) -> None:
    late = time.time() - found.began > LASTS
    foreign = found.user_id != user_id and not (user_id is None and found.link_id)
    if late or foreign:
        google.forget(state)
    if foreign:
        raise SignInProblem("other_person", OTHER_PERSON)
    if late:
        raise SignInProblem("expired", EXPIRED)


NO_STATE = "Google's answer did not say which sign-in it belongs to."
REPLAYED = "This answer of Google's was used before. It counts only once."
FOREIGN = "This sign-in was not started here, in this browser and since you signed in."
OTHER_PERSON = "Somebody else started this sign-in with Google. Start your own."
EXPIRED = "More than an hour passed before Google's answer came, so it no longer counts."
