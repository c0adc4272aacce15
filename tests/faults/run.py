"""One run: a plan is played on a stage, and the carrier's own list is the judge."""

import contextlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeVar
from unittest import mock

from flask import Flask
from sqlalchemy import func, select, update
from sqlalchemy.exc import DBAPIError

from portal import batches, dispatch
from portal.batches import BatchItem, ItemState
from portal.config import Config
from portal.dispatch import Blocked, Dispatch, Proof, State
from portal.documents import Document, mail
from portal.envelope import Attachment, Mailable, ProviderAnswer
from portal.extensions import db
from portal.mailboxes import Health, Mailbox
from portal.senders import Choice, Mode
from tests import factories, servers
from tests.faults.cells import Cell, Plan
from tests.faults.stage import Stage
from tests.faults.steering import Book, Steering
from tests.faults.strikes import Strikes

T = TypeVar("T")
#: Once nothing goes wrong any more, a run is over when nothing has left for so many seconds, and in
#: any case after so many more.
STANDSTILL, AT_LONGEST = 240.0, 3600.0


@dataclass
class Verdict:
    """What became of it all. dispatches: how many were asked for; to_person: those of which only a
    person could say whether they had left."""

    dispatches: int
    seconds: float
    struck: Counter[Cell] = field(default_factory=Counter)
    bad: dict[Cell, list[str]] = field(default_factory=dict)
    doubled: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    stranded: list[str] = field(default_factory=list)
    unknown: list[int] = field(default_factory=list)
    to_person: set[int] = field(default_factory=set)
    strangers: int = 0
    starts: int = 0
    wrong: dict[int, str] = field(default_factory=dict)

    def count(self, id_: int, times: int, state: str, note: str) -> None:
        """One dispatch with all that a person had sent in its place: how often the carrier took it,
        and where it stands."""
        if times != 1 or state != State.ACCEPTED:
            self.wrong[id_] = f"left {times} times, {state}"
        if times > 1:
            self.doubled.append(id_)
        if times == 0 and state == State.ACCEPTED:
            self.lost.append(id_)
        if state == State.UNKNOWN:
            self.unknown.append(id_)
        elif state != State.ACCEPTED:
            self.stranded.append(f"dispatch {id_} is {state}: {note}")

    @property
    def fine(self) -> bool:
        return not (self.doubled or self.lost or self.stranded or self.unknown or self.strangers)

    def __str__(self) -> str:
        return (
            f"{self.dispatches} dispatches in {self.seconds:.0f} s, "
            f"{sum(self.struck.values())} strikes, workers started {self.starts} times: "
            f"twice {len(self.doubled)}, lost {len(self.lost)}, stranded {len(self.stranded)}, "
            f"unknown {len(self.unknown)}, not ours {self.strangers}, "
            f"to a person {len(self.to_person)}"
            + "".join(f"\n  {one}" for one in self.stranded[:12])
        )


class Run:
    """Asks for what a plan holds, lets hosts send it, and judges.

    longest: seconds for which things go wrong, from when the first worker is at work; cables: where
    a host finds its stores and the carrier, if not where all do; looks_after: seconds after which
    a person looks what became of an unclear message.
    """

    def __init__(
        self,
        stage: Stage,
        plan: Plan,
        hosts: int = 2,
        longest: float = 900,
        cables: dict[str, dict[str, str]] | None = None,
        looks_after: float | None = None,
    ) -> None:
        self.stage, self.plan, self.longest = stage, plan, longest
        # Nobody is quicker in real life than a lease lasts.
        self.looks_after = stage.carrier.lease if looks_after is None else looks_after
        self._hosts = [f"host-{number + 1}" for number in range(hosts)]
        self._cables = cables or {}
        self.book = Book(plan, random.Random(plan.seed))
        self.mailbox_of: dict[int, str] = {}
        self.boxes: list[tuple[int, str]] = []
        self.batch: int | None = None
        self.askers: list[subprocess.Popen[str]] = []
        self._asked_since: dict[int, float] = {}
        self._resting_since: dict[tuple[int, datetime | None], float] = {}
        self.app: Flask

    def play(self, meanwhile: Callable[["Run"], None] | None = None) -> Verdict:
        """The whole run. meanwhile: what else happens while the hosts send."""
        config = Config.from_env(self.stage.environ, dotenv=Path(os.devnull))
        with servers.inside(config) as self.app, self._steering() as steering:
            self._connect()
            self._ask()
            self._complete_batch()
            to_press = self._to_press(steering)
            began = time.monotonic()
            for name in self._hosts:
                own = self._cables.get(name, {})
                self.stage.open_host(name, SENDWRIGHT_FAILPOINTS=steering.address(name), **own)
            self.stage.watch()
            self._press(to_press)
            if meanwhile is not None:
                meanwhile(self)
            self._await(began)
            seconds = time.monotonic() - began
            self.stage.end()
            return self._judge(seconds)

    @contextlib.contextmanager
    def _steering(self) -> Iterator[Steering]:
        strikes = Strikes(self.stage, self.book, self.mailbox_of)
        with Steering(self.stage.home, strikes.meet) as steering:
            yield steering

    # -- what is asked for -----

    def _connect(self) -> None:
        for number in range(len(self.plan.by_place)):
            email = factories.OFFICE if number == 0 else f"van{number}@brightspark.example"
            self.stage.carrier.add(email)
            self.boxes.append((self.stage.carrier.sign_in(email).id, email))

    def _ask(self) -> None:
        """All that is asked for before the workers start, row by row, so that each mailbox meets
        the same fault at about the same time. Their paper is drawn once: it is not the subject."""
        drawn = Attachment("invoice.pdf", "application/pdf", b"%PDF-1.7 as it was drawn")
        with mock.patch.object(mail, "paper", return_value=drawn):
            for row in range(max(map(len, self.plan.by_place), default=0)):
                for place, cells in zip(self.boxes, self.plan.by_place, strict=True):
                    if row < len(cells):
                        self._ask_one(place, cells[row])

    def _ask_one(self, place: tuple[int, str], cell: Cell | None) -> None:
        mailbox_id, email = place
        sender = Mailable(email, "Bright Spark Plumbing")
        choice = Choice(sender, mailbox_id, email, Mode.SPECIFIED, "chosen for this sending")
        made = dispatch.request(factories.document(), factories.tom(), factories.wish(), choice)
        self.mailbox_of[made.id] = email
        if cell is not None:
            self.book.by_dispatch[made.id] = cell

    def _complete_batch(self) -> None:
        if not self.plan.frozen:
            return
        olive = factories.olive()
        chosen = [factories.document().id for _ in range(self.plan.frozen)]
        batch = batches.make("Month end", olive)
        batches.fill(batch, select(Document.id).where(Document.id.in_(chosen)), olive)
        while not batches.check(batch, olive).finished:
            pass
        batches.complete(batch, olive, batch.version)
        self.batch = batch.id

    def _to_press(self, steering: Steering) -> list[list[str]]:
        """What people will ask for meanwhile, for each of two lanes."""
        tom, lanes = factories.tom().id, list[list[str]](([], []))
        for number, cell in enumerate(self.plan.asking):
            name = f"asker-{number}"
            self.book.by_asker[name] = cell
            mailbox, email = self.boxes[number % len(self.boxes)]
            asked = {"document": factories.document().id, "user": tom}
            asked |= {"mailbox": mailbox, "from": email, "steered_by": steering.address(name)}
            lanes[number % 2].append(json.dumps(asked) + "\n")
        db.session.commit()
        return lanes

    def _press(self, lanes: list[list[str]]) -> None:
        """People press Send meanwhile, in processes that are killed as they do."""
        environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(servers.ROOT)}
        for lines in filter(None, lanes):
            with (self.stage.home / "askers.log").open("a") as log:
                asker = subprocess.Popen(
                    [sys.executable, "-m", "tests.faults.asker"],
                    env=environ | self.stage.environ,
                    cwd=servers.ROOT,
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    text=True,
                )
            self.askers.append(asker)
            threading.Thread(target=_hand, args=(asker, lines), daemon=True).start()

    def _sign_in_where_asked(self) -> None:
        """Whoever owns a mailbox signs in again when the portal asks for it."""
        broken = select(Mailbox.email).where(Mailbox.health != Health.CONNECTED)
        for email in self.calmly(lambda: list(db.session.scalars(broken))):
            self.calmly(lambda email=email: self.stage.carrier.sign_in(email))  # type: ignore[misc]

    def _answer_what_is_asked(self) -> None:
        """Whoever is asked what became of a message looks at the server's own list, and says so:
        it did leave, or it did not, and then it is sent again."""
        unclear = select(Dispatch.id, Dispatch.token).where(
            Dispatch.state == State.UNKNOWN, Dispatch.needs_person.is_(True)
        )
        moment = time.monotonic()
        due = [
            (row[0], row[1])
            for row in self.calmly(lambda: db.session.execute(unclear).all())
            if moment - self._asked_since.setdefault(row[0], moment) >= self.looks_after
        ]
        accepted = self.stage.carrier.accepted() if due else Counter[str]()
        for id_, token in due:
            self.calmly(lambda id_=id_, left=accepted[token] > 0: _decide(id_, left=left))  # type: ignore[misc]

    def _cut_pauses_short(self) -> None:
        """A minute that a mailbox is left alone is over sooner here; by our own clock, for the
        portal's is set back."""
        if self.stage.carrier.rest is None:
            return
        resting = select(Mailbox.id, Mailbox.paused_until).where(Mailbox.paused_until.is_not(None))
        moment, found = time.monotonic(), self.calmly(lambda: db.session.execute(resting).all())
        since = {(row[0], row[1]): moment for row in found}
        self._resting_since = since | {
            one: at for one, at in self._resting_since.items() if one in since
        }
        for (id_, until), at in self._resting_since.items():
            if moment - at > self.stage.carrier.rest:
                self.calmly(lambda id_=id_, until=until: _end_pause(id_, until))  # type: ignore[misc]

    def calmly(self, ask: Callable[[], T]) -> T:
        """Ask the store, again where it is away just now."""
        for _ in range(200):
            try:
                found = ask()
                db.session.rollback()
                return found
            except (DBAPIError, ProviderAnswer) as problem:
                last = problem
                with contextlib.suppress(DBAPIError):
                    db.session.rollback()
                time.sleep(0.2)
        raise last

    # -- until nothing is left to do -----

    def _await(self, began: float) -> None:
        """For `longest` seconds things go wrong; then everything has the time to come right."""
        told = moved = began
        left = 0
        while not self.is_done():
            if not self.book.seen:
                began = time.monotonic()
            self.book.over = time.monotonic() - began > self.longest
            if left != (left := self.stage.carrier.count()) or not self.book.over:
                moved = time.monotonic()
            if time.monotonic() > min(moved + STANDSTILL, began + self.longest + AT_LONGEST):
                return
            if time.monotonic() - told > 15 and os.environ.get("FAULTS_TALK"):
                told = time.monotonic()
                print(f"{told - began:6.0f} s {self.calmly(self._tally)}", flush=True)
            time.sleep(0.3)

    def is_done(self) -> bool:
        """Whether nothing is left to do; if not, people do what is asked of them."""
        if self.calmly(self._is_over):
            return True
        self._sign_in_where_asked()
        if not self.stage.carrier.two_phase:
            self._answer_what_is_asked()
        self._cut_pauses_short()
        return False

    def _is_over(self) -> bool:
        if any(asker.poll() is None for asker in self.askers):
            return False
        pending = select(BatchItem.id).where(BatchItem.state == ItemState.PENDING).limit(1)
        if db.session.scalar(pending) is not None:
            return False
        unread = (Dispatch.state == State.ACCEPTED) & (Dispatch.proof == Proof.UNREAD)
        moving = unread | Dispatch.state.not_in((State.ACCEPTED, State.REFUSED, State.CANCELLED))
        return db.session.scalar(select(Dispatch.id).where(moving).limit(1)) is None

    def _tally(self) -> str:
        query = select(Dispatch.state, func.count()).group_by(Dispatch.state)
        states = {str(state): number for state, number in db.session.execute(query)}
        return f"{states} struck {len(self.book.struck)} left {self.book.left}"

    # -- the judge -----

    def _judge(self, seconds: float) -> Verdict:
        accepted = self.stage.carrier.accepted()
        asked = self.plan.dispatches
        verdict = Verdict(asked, seconds, starts=sum(one.starts for one in self.stage.hosts))
        verdict.struck = Counter(cell for cell, _ in self.book.struck)
        verdict.to_person = set(self._asked_since)
        found = self.calmly(self._found)
        for root, sendings in found.items():
            times = sum(accepted.pop(one.token, 0) for one in sendings)
            verdict.count(root, times, sendings[-1].state, sendings[-1].state_note)
        verdict.strangers = sum(accepted.values())
        left = self.calmly(self._left)
        verdict.stranded += [f"an item of the batch was left: {why}" for why in left]
        missing = asked - len(found) - len(left)
        verdict.stranded += ["a document was never asked for"] * missing
        for cell, id_ in self.book.struck:
            if id_ in verdict.wrong:
                verdict.bad.setdefault(cell, []).append(f"dispatch {id_}: {verdict.wrong[id_]}")
        return verdict

    def _left(self) -> list[str]:
        """Why items of the batch were left, where any were."""
        columns = BatchItem.problem, BatchItem.tries
        query = select(*columns).where(BatchItem.state == ItemState.LEFT)
        return [f"{problem} ({tries} tries)" for problem, tries in db.session.execute(query)]

    def _found(self) -> dict[int, list["Sending"]]:
        """Each dispatch that was asked for, with all that were sent in its place, oldest first."""
        columns = (Dispatch.id, Dispatch.resend_of_id, Dispatch.token, Dispatch.state)
        query = select(*columns, Dispatch.state_note).order_by(Dispatch.id)
        roots: dict[int, int] = {}
        found: dict[int, list[Sending]] = {}
        for id_, earlier, *told in db.session.execute(query):
            roots[id_] = roots[earlier] if earlier else id_
            found.setdefault(roots[id_], []).append(Sending(*told))
        return found


@dataclass(frozen=True)
class Sending:
    """One dispatch as it stands at the end."""

    token: str
    state: str
    state_note: str


def _decide(id_: int, *, left: bool) -> None:
    """A manager says what they saw, or has sent again what did not leave. Twice is once, and what
    has moved on meanwhile, or cannot leave just now, is seen on the page."""
    one, olive = dispatch.load(id_), factories.olive()
    if left:
        dispatch.settle(one, olive, left=True)
        return
    with contextlib.suppress(Blocked):
        dispatch.resend(one, olive, one.sending_number + 1, "The mail server does not have it.")


def _end_pause(id_: int, until: datetime | None) -> None:
    same = (Mailbox.id == id_, Mailbox.paused_until == until)
    db.session.execute(update(Mailbox).where(*same).values(paused_until=None))
    db.session.commit()


def _hand(asker: "subprocess.Popen[str]", lines: list[str]) -> None:
    assert asker.stdin is not None
    with contextlib.suppress(OSError), asker.stdin:
        asker.stdin.writelines(lines)
