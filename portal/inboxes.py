"""Inboxes: reading what comes into every connected mailbox that allows it.

Of each message that is new, portal.incoming says what it is, and portal.bounces which sending it is
about. What has nothing to do with a sending is forgotten at once. Each inbox is read in one place
at a time, under a lease of its own, and no faster than its provider's pace leaves room for.
"""

import logging
import math
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from flask import Flask, current_app
from sqlalchemy import select, update

from portal import bounces, incoming, journal, ledger, logs, mailboxes, pace, queueing
from portal.attempts import worker_name
from portal.bounces.tables import Inbox
from portal.columns import db_now, lapsed, now
from portal.envelope import Gone, NeedsPermission, NeedsSignIn, ProviderAnswer, TryLater
from portal.extensions import db
from portal.incoming import Letter
from portal.mailboxes import Address, Health, Mailbox
from portal.providers.provider import Access, Incoming, Provider
from portal.stores import reading, rows_changed

#: So many inboxes are read at the same time in one process.
SIDE_BY_SIDE = 4
#: Seconds for which a reader owns an inbox; renewed with everything it stores.
LEASE = 120.0
#: So many messages are fetched before what they said is stored.
HANDFUL = 25
#: The first look goes back so far.
BEGINS = timedelta(days=3)
#: A look that failed is repeated after a minute, and later and later, up to an hour.
AGAIN, LATEST = 60.0, 3600.0
NO_PERMISSION = "The mailbox does not let the portal read what comes in."

log = logging.getLogger(__name__)


def look(ends: float = math.inf) -> None:
    """Read the inboxes that are due. ends: when (monotonic) to begin no more.

    What cannot be read is put off, says so in its row, and raises nothing.
    """
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    with reading():
        due = _due()
    if due:
        with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="inbox") as pool:
            list(pool.map(lambda one: _in_thread(app, one, ends), due))
    bounces.look_again()


def _due() -> list[int]:
    """Those read longest ago first."""
    query = (
        select(Mailbox)
        .outerjoin(Inbox, Inbox.mailbox_id == Mailbox.id)
        .where(
            Mailbox.health == Health.CONNECTED,
            mailboxes.is_here(),
            lapsed(Inbox.due_at, LATEST),
            lapsed(Inbox.held_until, LEASE),
        )
        .order_by(Inbox.looked_at.asc().nulls_first(), Mailbox.id)
    )
    found = db.session.scalars(query)
    return [one.id for one in found if one.abilities.incoming is not Access.NONE]


def _in_thread(app: Flask, box_id: int, ends: float) -> None:
    if queueing.stopping.is_set() or time.monotonic() >= ends:
        return
    with app.app_context(), logs.about(mailbox=box_id):
        try:
            Reading(box_id, ends).run()
        except Exception:
            journal.undo()
            log.exception("its inbox could not be read")


@dataclass
class Handful:
    """What a few messages said. rest: those of them that were not reached."""

    letters: list[tuple[Incoming, Letter]] = field(default_factory=list)
    broken: list[tuple[str, str]] = field(default_factory=list)
    rest: list[str] = field(default_factory=list)
    problem: ProviderAnswer | None = None


class Reading:
    """One look at one inbox, from its mark to the newest message, by whoever has its lease."""

    def __init__(self, box_id: int, ends: float = math.inf) -> None:
        self.box_id, self._ends = box_id, ends
        self._holder = f"{worker_name()}/{time.monotonic_ns()}"
        self._pause: float = current_app.config["PORTAL"].INBOX_SECONDS

    def run(self) -> None:
        """Read until nothing is new, or until there is no more time."""
        if not journal.write(self._take):
            return
        problem: Exception | None = None
        try:
            self._read_on()
        except ProviderAnswer as answer:
            problem = answer
            log.info("its inbox could not be read: %s", answer.words)
        except Exception as other:
            problem = other
            raise
        finally:
            journal.write(lambda: self._release(problem))
        if isinstance(problem, NeedsSignIn):
            mailboxes.mark_broken(self.box_id, problem, Mailbox.connected_at == self._signed_in)

    def _take(self) -> bool:
        box = db.session.get_one(Mailbox, self.box_id)
        if db.session.get(Inbox, self.box_id) is None:
            db.session.add(Inbox(mailbox_id=self.box_id, since=now() - BEGINS, pending=[]))
            db.session.flush()
        free = lapsed(Inbox.held_until, LEASE)
        self._signed_in = box.connected_at
        return self._change(free, holder=self._holder, held_until=db_now(LEASE))

    def _read_on(self) -> None:
        with reading():
            box = db.session.get_one(Mailbox, self.box_id, populate_existing=True)
            row = db.session.get_one(Inbox, self.box_id, populate_existing=True)
            mark, pending, since = row.mark, list(row.pending), row.since
            provider, own = mailboxes.provider_for(box), _own_addresses()
            share = pace.BESIDE_SENDING if _is_sending(box) else pace.WHILE_IDLE
            rate = ledger.units_of(box) * share / 60
        more = True
        while self._goes_on() and (pending or more):
            if not pending:
                found = provider.arrivals(mark, since=since)
                mark, more = found.mark, found.more
                pending = self._unknown(found.ids)
                if not self._store_mark(mark, pending):
                    return
                continue
            began = time.monotonic()
            few, pending = pending[: _most(provider, rate)], pending[_most(provider, rate) :]
            done = self._fetch(provider, few, own)
            pending = [*done.rest, *pending]
            if not journal.write(lambda done=done, rest=pending: self._store(done, rest)):  # type: ignore[misc]
                return
            if done.problem is not None:
                raise done.problem
            self._rest(provider, len(few), rate, began)

    def _goes_on(self) -> bool:
        return not queueing.stopping.is_set() and time.monotonic() < self._ends

    def _rest(self, provider: Provider, fetched: int, rate: float, began: float) -> None:
        """Keep to the share of the pace that reading may take."""
        costs = fetched * provider.fetching_units / rate if rate else 0.0
        queueing.stopping.wait(max(0.0, min(costs - (time.monotonic() - began), LEASE / 2)))

    # -- fetching --------------------------------------------------------------------------------

    def _fetch(self, provider: Provider, ids: list[str], own: Collection[str]) -> Handful:
        """What these messages say. One that alone cannot be had is set aside; where the next one
        cannot be had either, it is the provider's trouble, and all wait."""
        done, failed = Handful(), list[tuple[str, ProviderAnswer]]()
        for number, id_ in enumerate(ids):
            try:
                one = provider.incoming(id_)
            except Gone:
                continue
            except (NeedsSignIn, NeedsPermission) as problem:
                done.problem, done.rest = problem, ids[number:]
                break
            except ProviderAnswer as problem:
                failed.append((id_, problem))
                if len(failed) > 1 or number + 1 == len(ids) == 1 or _says_wait(problem):
                    done.problem = problem
                    done.rest = [failed[0][0], *ids[number + (len(failed) == 1) :]]
                    return done
                continue
            done.letters.append((one, _understood(one, own)))
        done.broken = [(id_, problem.words) for id_, problem in failed]
        return done

    # -- storing ---------------------------------------------------------------------------------

    def _unknown(self, ids: Collection[str]) -> list[str]:
        with reading():
            known = bounces.known(self.box_id, ids)
        return [one for one in ids if one not in known]

    def _store_mark(self, mark: str, pending: list[str]) -> bool:
        values = {"mark": mark, "pending": pending, "held_until": db_now(LEASE)}
        return journal.write(lambda: self._change(self._mine(), **values))

    def _store(self, done: Handful, rest: list[str]) -> bool:
        """False where the inbox is somebody else's by now, and nothing was stored."""
        if not self._change(self._mine(), held_until=db_now(LEASE)):
            return False
        for one, letter in done.letters:
            bounces.keep(self.box_id, one, letter)
        back = [id_ for id_, words in done.broken if not bounces.broke(self.box_id, id_, words)]
        return self._change(self._mine(), pending=[*rest, *back])

    def _mine(self) -> Any:
        return Inbox.holder == self._holder

    def _change(self, *conditions: Any, **values: Any) -> bool:
        mine = Inbox.mailbox_id == self.box_id
        changed = update(Inbox).where(mine, *conditions).values(**values)
        done = db.session.execute(changed.execution_options(synchronize_session=False))
        return rows_changed(done) == 1

    def _release(self, problem: Exception | None) -> None:
        """Give the inbox back, and say when it is due again."""
        values: dict[str, Any] = {"holder": None, "held_until": None}
        if problem is None:
            fine = {"problem": "", "failing_since": None, "tries": 0}
            values |= {"looked_at": db_now(), "due_at": db_now(self._pause), **fine}
        else:
            row = db.session.get_one(Inbox, self.box_id, populate_existing=True)
            wait = _wait_after(problem, row.tries)
            values |= {"due_at": db_now(wait), "tries": row.tries + 1}
            values |= {"failing_since": row.failing_since or now(), "problem": _words(problem)}
        self._change(self._mine(), **values)


def _understood(one: Incoming, own: Collection[str]) -> Letter:
    if one.raw is not None:
        return incoming.read(one.raw, own=own, thread_id=one.thread_id)
    headers = one.headers
    return incoming.read_headers(headers, snippet=one.snippet, own=own, thread_id=one.thread_id)


def _most(provider: Provider, rate: float) -> int:
    """How many to fetch before the next rest: none of them may take long."""
    each = provider.fetching_units
    return HANDFUL if not each or not rate else max(1, min(HANDFUL, int(10 * rate / each)))


def _is_sending(box: Mailbox) -> bool:
    return box.drain_until is not None and box.drain_until > now()


def _says_wait(problem: ProviderAnswer) -> bool:
    return isinstance(problem, TryLater) and (problem.too_fast or problem.exact)


def _wait_after(problem: Exception, tries: int) -> float:
    if isinstance(problem, NeedsPermission):
        return LATEST
    asked = problem.after if isinstance(problem, TryLater) else 0.0
    return min(max(asked, AGAIN * 2.0 ** min(tries, 10)), LATEST)


def _words(problem: Exception) -> str:
    if isinstance(problem, NeedsPermission):
        return NO_PERMISSION
    return problem.message if isinstance(problem, ProviderAnswer) else "Something went wrong here."


def _own_addresses() -> frozenset[str]:
    """All that the company sends from: whoever writes from there is not answering it."""
    own = [*db.session.scalars(select(Address.email)), *db.session.scalars(select(Mailbox.email))]
    return frozenset(one.lower() for one in own)
