"""Watching: reading Gmail's lists again where an address is awaited, so that held mail leaves by
itself.

It goes on beside the sending. A list that cannot be read is asked for less and less often.
"""

import logging
import math
import time
from concurrent.futures import ThreadPoolExecutor

from flask import Flask, current_app
from sqlalchemy import and_, or_, select

from portal import (
    breakdowns,
    domains,
    logs,
    mailboxes,
    queueing,
    returns,
    testimonies,
    upkeep,
)
from portal.columns import db_now
from portal.dispatch import Dispatch, State, release_ready
from portal.envelope import ProviderAnswer
from portal.extensions import db
from portal.mailboxes import Address, Mailbox
from portal.stores import reading

#: How often the list is read again while somebody is adding an address, and otherwise (seconds).
WATCH_NEW, WATCH_OLD, NEW_FOR = 10, 300, 3600
#: So many lists are read at the same time, so that one that hangs holds up no other.
SIDE_BY_SIDE = 4
NEVER = (0, 0.0)

log = logging.getLogger(__name__)


def watch(ends: float = math.inf) -> None:
    """Read the lists that are due, and release what they make ready.

    ends: when (monotonic) to begin no more. What cannot be read is put off and raises nothing.
    """
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    with reading():
        due = [one for one in _awaited() if _put_off().get(one, NEVER)[1] <= time.monotonic()]
    with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="watch") as pool:
        became_ready = list(pool.map(lambda one: _read_in_thread(app, one, ends), due))
    if any(became_ready):
        release_ready()
    breakdowns.tell()
    returns.tell()
    upkeep.look_again(ends)
    domains.look_again(ends)
    testimonies.look_again(ends)


def _read_in_thread(app: Flask, mailbox_id: int, ends: float) -> bool:
    """Read one list; whether an address has just become ready."""
    if queueing.stopping.is_set() or time.monotonic() >= ends:
        return False
    with app.app_context(), logs.about(mailbox=mailbox_id):
        try:
            with reading():
                box = db.session.get_one(Mailbox, mailbox_id)
            fresh = mailboxes.refresh_addresses(box)
        except ProviderAnswer as problem:
            log.info("its send-from addresses could not be read: %s", problem.words)
        except Exception:
            log.exception("its send-from addresses could not be read")
        else:
            _put_off().pop(mailbox_id, None)
            return bool(fresh)
        times, _ = _put_off().get(mailbox_id, NEVER)
        wait = min(WATCH_NEW * 2**times, WATCH_OLD)
        _put_off()[mailbox_id] = times + 1, time.monotonic() + wait
        return False


def _put_off() -> dict[int, tuple[int, float]]:
    """By mailbox, how often in a row its list could not be read, and until when (monotonic) it is
    left alone. This process remembers, and no other."""
    remembered: dict[int, tuple[int, float]] = current_app.extensions.setdefault("watching", {})
    return remembered


def _awaited() -> list[int]:
    held = select(Dispatch.from_email).where(Dispatch.state == State.HELD)
    awaited = or_(Address.verification.in_(("wanted", "pending")), Address.email.in_(held))
    recent = Address.since > db_now(-NEW_FOR)
    due = or_(
        Mailbox.addresses_checked_at.is_(None),
        Mailbox.addresses_checked_at < db_now(-WATCH_OLD),
        and_(recent, Mailbox.addresses_checked_at < db_now(-WATCH_NEW)),
        and_(Address.email.in_(held), Mailbox.addresses_checked_at < db_now(-WATCH_NEW)),
    )
    query = select(Mailbox.id).join(Address, Address.mailbox_id == Mailbox.id)
    here = mailboxes.is_here()
    query = query.where(Mailbox.health == mailboxes.Health.CONNECTED, here, awaited, due)
    return list(db.session.scalars(query.distinct()))
