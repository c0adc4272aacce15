"""Strikes: how each fault is done to whoever stands at a failpoint."""

import random
import signal
import time
from collections.abc import Callable

from tests.faults.cells import AROUND, KILLS, PROVIDER, Cell
from tests.faults.stage import Stage, send_signal
from tests.faults.steering import GO, Arrival, Book, Gathering

#: Seconds: for how long others who are to meet the same event are waited for.
GATHER = 0.5
#: Seconds: for how long a disk is full.
FULL = 1.2


class Strikes:
    """mailbox_of: the address that carries a dispatch."""

    def __init__(self, stage: Stage, book: Book, mailbox_of: dict[int, str]) -> None:
        self._stage, self._book, self._mailbox_of = stage, book, mailbox_of
        self._chance = random.Random(book.plan.seed)
        self._gathering = Gathering(GATHER)

    def meet(self, arrival: Arrival) -> str:
        cell = self._book.take(arrival)
        if cell is not None:
            try:
                self._strike(cell, arrival)
            except Exception:
                self._book.missed(cell, arrival)
                raise
        elif self._book.to_be_unclear(arrival):
            self._stage.carrier.make_unclear(self._account(arrival), self._chance)
        return GO

    def _strike(self, cell: Cell, arrival: Arrival) -> None:
        if cell.fault in KILLS:
            key = (cell.fault, arrival.pid)
            self._gathering.join(key, arrival, lambda: self._kill(cell.fault, arrival))
        elif cell.fault == "pause":
            self._gathering.join(("pause", arrival.pid), arrival, lambda: self._pause(arrival.pid))
        elif cell.fault in PROVIDER:
            self._provider(cell, arrival)
        else:
            assert cell.fault in AROUND, cell
            self._around(cell.fault, arrival)

    # -- processes -----

    def _kill(self, fault: str, arrival: Arrival) -> None:
        worker = self._stage.worker_of(arrival.host)
        if fault != "kill child" and worker is not None:
            send_signal(worker, signal.SIGKILL)
        if fault != "kill worker" or worker is None:
            send_signal(arrival.pid, signal.SIGKILL)

    def _pause(self, pid: int) -> None:
        send_signal(pid, signal.SIGSTOP)
        time.sleep(self._stage.carrier.standstill)
        send_signal(pid, signal.SIGCONT)

    # -- the provider -----

    def _provider(self, cell: Cell, arrival: Arrival) -> None:
        account = self._account(arrival)
        if cell.fault == "revoked":
            account = account or self._chance.choice(sorted(set(self._mailbox_of.values())))
            self._stage.carrier.revoke(account)
            return
        self._stage.carrier.befall(cell, account, self._chance)

    def _account(self, arrival: Arrival) -> str | None:
        """Whose call fails: where the point is nobody's own, anybody's."""
        return self._mailbox_of.get(arrival.dispatch or 0)

    # -- what is around -----

    def _around(self, fault: str, arrival: Arrival) -> None:
        if fault == "FLUSHALL":
            self._stage.redis.flush()
            return
        pids = [arrival.pid, *filter(None, [self._stage.worker_of(arrival.host)])]
        how = self._chance.choice(("fast", "immediate"))
        deeds: dict[str, tuple[object, Callable[[], None]]] = {
            "restart db": ("db", lambda: self._stage.restart_store(how)),
            "restart redis": ("redis", self._stage.redis.restart),
            "clock back": ("clock", self._stage.set_clock_back),
            "disk full": (("disk", pids[0]), lambda: self._stage.fill_disk(pids, FULL)),
        }
        key, act = deeds[fault]
        self._gathering.join(key, arrival, act)
