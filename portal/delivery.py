"""Delivery: carrying dispatches out. drain() is the only job; everything else is called by it.

One mailbox is drained by one thread at a time (its lease is a row in the database), in the order of
asking; mailboxes run side by side.
"""

import logging
import math
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager

from flask import Flask, current_app
from sqlalchemy import ColumnElement, and_, or_, select, update

from portal import alarms, batches, mailboxes, queueing
from portal.attempts import recover_stale, send, worker_name
from portal.columns import db_now
from portal.config import Config
from portal.dispatch import WORK, Dispatch, Proof, State, release_ready
from portal.envelope import ProviderAnswer
from portal.evidence import DISCARDING, discard_draft, read_proof, reconcile
from portal.extensions import db
from portal.mailboxes import Address, Mailbox
from portal.stores import rows_changed

MOST_THREADS = 32
#: Those of the threads that freeze what batches hold; named like mailboxes, which no mailbox is.
FREEZERS = (0, -1)
#: How often the list is read again while somebody is adding an address, and otherwise (seconds).
WATCH_NEW, WATCH_OLD, NEW_FOR = 10, 300, 3600

log = logging.getLogger(__name__)


def drain() -> None:
    """The RQ job: sweep, then freeze batches and drain every mailbox with something due, side by
    side: the first mail of a batch leaves long before its last is frozen."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    config: Config = app.config["PORTAL"]
    ends = time.monotonic() + queueing.DRAIN_SECONDS
    sweep()
    swept = time.monotonic()
    running: dict[Future[None], int] = {}
    failed: set[int] = set()
    with ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="mailbox") as threads:
        while not queueing.stopping.is_set() and time.monotonic() < ends:
            for work in _due_work(without=failed | set(running.values())):
                running[threads.submit(_work_in_thread, app, work, ends)] = work
            if not running:
                break
            done, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in done:
                work = running.pop(future)
                if future.exception() is not None:  # the next drain tries again, this one does not
                    log.error("draining a mailbox failed", exc_info=future.exception())
                    failed.add(work)
            if time.monotonic() - swept > config.SWEEP_SECONDS:
                sweep()
                swept = time.monotonic()
    if time.monotonic() >= ends:
        queueing.ring()


def sweep() -> None:
    """Put right what a crash, a lost doorbell or the passing of time left behind."""
    recover_stale()
    watch_addresses()
    release_ready()
    alarms.tell_managers()


def _due_work(without: set[int]) -> list[int]:
    freezers = [one for one in FREEZERS if one not in without]
    return [*(freezers if freezers and batches.is_due() else ()), *due_mailboxes(without)]


def due_mailboxes(without: set[int]) -> list[int]:
    """Mailboxes with something to do now that nobody is draining."""
    work = select(Dispatch.id).where(Dispatch.mailbox_id == Mailbox.id, WORK, _due())
    first = work.order_by(Dispatch.lane, Dispatch.id).limit(1).scalar_subquery()
    query = select(Mailbox.id).where(*_free(), first.is_not(None)).order_by(Mailbox.id)
    found = [one for one in db.session.scalars(query) if one not in without]
    db.session.commit()
    return found


def drain_mailbox(mailbox_id: int, ends: float = math.inf) -> None:
    """Take the mailbox's lease and carry out what is due, oldest first, until nothing is.

    ends: when (monotonic) to take no more, so that no message in hand is cut off by RQ's time-out.
    """
    with _lease(mailbox_id) as holder:
        while holder and not queueing.stopping.is_set() and time.monotonic() < ends:
            next_due = _next_due(mailbox_id)
            if next_due is None or not _renew(mailbox_id, holder):
                break
            dispatch_id, state = next_due
            if state == State.QUEUED:
                send(dispatch_id)
            elif state == State.UNKNOWN:
                reconcile(dispatch_id)
            elif state == State.ACCEPTED:
                read_proof(dispatch_id)
            else:
                discard_draft(dispatch_id)


# -- watching -----


def watch_addresses() -> None:
    """Read Gmail's lists again where an address is awaited, so that held mail leaves by itself."""
    for mailbox_id in _watched():
        box = db.session.get_one(Mailbox, mailbox_id, populate_existing=True)
        try:
            mailboxes.refresh_addresses(box)
        except ProviderAnswer as problem:
            log.info("mailbox %s could not be read: %s", mailbox_id, problem.words)
    db.session.commit()


def _watched() -> list[int]:
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
    here = Mailbox.issuer == mailboxes.this_google()
    query = query.where(Mailbox.health == mailboxes.Health.CONNECTED, here, awaited, due)
    return list(db.session.scalars(query.distinct()))


# -- leases and what is due -----


def _due() -> ColumnElement[bool]:
    unread = and_(Dispatch.state == State.ACCEPTED, Dispatch.proof == Proof.UNREAD)
    useless = and_(Dispatch.state.in_(DISCARDING), Dispatch.draft_id.is_not(None))
    return or_(
        Dispatch.state == State.QUEUED,
        and_(Dispatch.state == State.UNKNOWN, Dispatch.settle_after <= db_now()),
        and_(
            or_(unread, useless),
            or_(Dispatch.settle_after.is_(None), Dispatch.settle_after <= db_now()),
        ),
    )


def _free() -> tuple[ColumnElement[bool], ...]:
    return or_(Mailbox.drain_until.is_(None), Mailbox.drain_until < db_now()), _not_paused()


def _not_paused() -> ColumnElement[bool]:
    return or_(Mailbox.paused_until.is_(None), Mailbox.paused_until <= db_now())


def _next_due(mailbox_id: int) -> tuple[int, str] | None:
    query = select(Dispatch.id, Dispatch.state).where(Dispatch.mailbox_id == mailbox_id)
    found = db.session.execute(
        query.where(WORK, _due()).order_by(Dispatch.lane, Dispatch.id).limit(1)
    ).first()
    db.session.commit()
    return (found[0], found[1]) if found else None


@contextmanager
def _lease(mailbox_id: int) -> Iterator[str]:
    """Hold the mailbox for draining; yields "" when somebody else does."""
    holder = f"{worker_name()}/{threading.get_ident()}/{time.monotonic_ns()}"
    seconds = current_app.config["PORTAL"].LEASE_SECONDS
    taken = db.session.execute(
        update(Mailbox)
        .where(Mailbox.id == mailbox_id, *_free())
        .values(drain_holder=holder, drain_until=db_now(seconds))
    )
    db.session.commit()
    try:
        yield holder if rows_changed(taken) else ""
    finally:
        db.session.rollback()
        db.session.execute(
            update(Mailbox)
            .where(Mailbox.id == mailbox_id, Mailbox.drain_holder == holder)
            .values(drain_holder=None, drain_until=None)
        )
        db.session.commit()


def _renew(mailbox_id: int, holder: str) -> bool:
    """Keep the mailbox for another message; False when it was lost, or paused meanwhile."""
    seconds = current_app.config["PORTAL"].LEASE_SECONDS
    kept = db.session.execute(
        update(Mailbox)
        .where(Mailbox.id == mailbox_id, Mailbox.drain_holder == holder, _not_paused())
        .values(drain_until=db_now(seconds))
    )
    db.session.commit()
    return rows_changed(kept) == 1


def _work_in_thread(app: Flask, work: int, ends: float) -> None:
    with app.app_context():
        if work in FREEZERS:
            batches.prepare(ends)
        else:
            drain_mailbox(work, ends)
