"""Bare: the floor of a drain, a raw loop that makes the portal's calls and stores nothing.

    python -m tests.bench.bare <sink> <first mailbox> <step> <how many> <seconds>

For each mailbox one thread makes the draft and sends it, over and over, with bytes built before,
and another reads the sent copies back: what the portal does beside its store.
"""

import contextlib
import os
import queue
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from portal.children import Child
from tests import servers
from tests.bench.caller import Caller

NO_MORE = ""


def send_for(sink: str, box: int, mail: bytes, ends: float, sent: "queue.Queue[str]") -> None:
    caller = Caller(sink, box)
    while time.monotonic() < ends:
        sent.put(caller.send(caller.draft(mail)))
    sent.put(NO_MORE)


def read_back(sink: str, box: int, sent: "queue.Queue[str]") -> None:
    caller = Caller(sink, box)
    while message := sent.get():
        caller.sender_of(message)


@contextlib.contextmanager
def running(home: Path, sink: str, boxes: int, seconds: float) -> Iterator[list[Child]]:
    """The loop in as many processes as the machine has cores."""
    cores = min(os.cpu_count() or 1, boxes)
    with contextlib.ExitStack() as all_of_them:
        started = []
        for core in range(cores):
            share = range(core, boxes, cores)
            words = [sink, str(core), str(cores), str(len(share)), str(seconds)]
            command = [sys.executable, "-m", "tests.bench.bare", *words]
            environ = {"PYTHONPATH": str(servers.ROOT)}
            log = home / f"bare-{core}.log"
            loop = servers.process("Loop", command, environ, log)
            started.append(all_of_them.enter_context(loop))
        yield started


def main(sink: str, first: str, step: str, many: str, seconds: str) -> None:
    from tests.bench.mails import reference_mail

    ends = time.monotonic() + float(seconds)
    threads = []
    for box in range(int(first), int(first) + int(many) * int(step), int(step)):
        sent: queue.Queue[str] = queue.Queue()
        mail = reference_mail(box, "0" * 32)
        threads += [
            threading.Thread(target=send_for, args=(sink, box, mail, ends, sent)),
            threading.Thread(target=read_back, args=(sink, box, sent)),
        ]
    for one in threads:
        one.start()


if __name__ == "__main__":
    main(*sys.argv[1:])
