"""The shared tablet a browser may be: its cookie, whose turn it is, and when it asks again."""

import time

from flask import Response, current_app, request, session
from flask_login import current_user

from portal import devices
from portal.devices import Device, Turn
from portal.web.page import wants_fragment

TURN, TOUCHED, PIN = "turn", "touched", "pin"
#: Being used is written down no more often than this, in seconds.
TOUCHED_EVERY = 20
#: The tablet stays known for so many seconds after somebody last signed in on it.
KNOWN_FOR = 180 * 24 * 3600


def this_one() -> Device | None:
    """The trusted device that asks, if it is one."""
    return devices.with_key(request.cookies.get(_cookie(), "")[:100])


def remember(response: Response, key: str) -> None:
    """Let this browser show which device it is."""
    config = current_app.config["PORTAL"]
    response.set_cookie(
        _cookie(),
        key,
        max_age=KNOWN_FOR,
        secure=config.is_https,
        httponly=True,
        samesite="Lax",
        path="/",
    )


def begin(turn: Turn, *, by_pin: bool) -> None:
    """Whose turn it is now is part of the session."""
    session[TURN], session[TOUCHED] = [turn.device_id, turn.key], time.time()
    session[PIN] = by_pin


def turn() -> Turn | None:
    """The turn this session is, on a shared tablet."""
    kept = session.get(TURN)
    return Turn(int(kept[0]), str(kept[1])) if kept else None


def by_pin() -> bool:
    """Whether nothing but a quick PIN stands behind this session."""
    return bool(session.get(PIN))


def is_over() -> bool:
    """Whether the turn has ended: too long idle, signed out, or the device trusted no more."""
    mine = turn()
    if mine is None:
        return False
    idle = time.time() - float(session.get(TOUCHED, 0))
    return idle > devices.IDLE_SECONDS or not devices.goes_on(mine, current_user.id)


def touch() -> None:
    """Somebody is there. A part of a page that asks for itself again shows nothing of the kind."""
    if turn() is None or (request.method == "GET" and wants_fragment()):
        return
    if time.time() - float(session.get(TOUCHED, 0)) > TOUCHED_EVERY:
        session[TOUCHED] = time.time()


def _cookie() -> str:
    return "__Host-device" if current_app.config["PORTAL"].is_https else "device"
