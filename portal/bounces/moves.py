"""Moves: what a person does next once a mail came back, by why it did. Pure."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum

from portal.incoming import Reason

#: What passes by itself is worth another try after so long.
A_DAY = timedelta(days=1)


class Move(StrEnum):
    """The next step, most urgent first where several recipients' copies came back."""

    CORRECT = "correct"  # find out the right address, and send there
    DOMAIN = "domain"  # complete the set-up of the domain it comes from
    OTHERWISE = "otherwise"  # send it with fewer, smaller or other files
    ASK = "ask"  # the customer has to change something first
    AGAIN = "again"  # the same once more, later


MOVES = {
    Reason.NO_SUCH_ADDRESS: Move.CORRECT,
    Reason.NO_SUCH_DOMAIN: Move.CORRECT,
    Reason.ADDRESS_CLOSED: Move.CORRECT,
    Reason.RELAY_DENIED: Move.CORRECT,
    Reason.UNKNOWN: Move.CORRECT,
    Reason.SENDER_NOT_ALLOWED: Move.DOMAIN,
    Reason.BLOCKED: Move.DOMAIN,
    Reason.TOO_LARGE: Move.OTHERWISE,
    Reason.CONTENT: Move.OTHERWISE,
    Reason.RESTRICTED: Move.ASK,
    Reason.LOOP: Move.ASK,
    Reason.MAILBOX_FULL: Move.AGAIN,
    Reason.TEMPORARY: Move.AGAIN,
    Reason.GAVE_UP: Move.AGAIN,
    Reason.GREYLISTED: Move.AGAIN,
    Reason.LIMIT: Move.AGAIN,
}


def move_after(reasons: Iterable[str]) -> Move:
    """The most urgent step after these; where nothing is known of why, the address is looked at."""
    found = {MOVES[Reason(one)] for one in reasons}
    return next((one for one in Move if one in found), Move.CORRECT)


def try_again_from(came_back_at: datetime) -> datetime:
    """From when what passes by itself is worth another try."""
    return came_back_at + A_DAY
