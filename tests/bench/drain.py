"""Drain: how fast the real worker sends, beside a raw loop that makes the same provider calls.

    python -m tests.bench.drain [--latency MS] [--mailboxes N] [--seconds S]
                                [--store sqlite|postgresql] [--quota] [--no-floor] [--json]

Both send the reference mail through the same sink in the same minute, for some seconds after
their start-up; what counts is the ratio. With --quota the sink refuses what goes beyond Google's
units a minute, and the mark is the share of that ceiling.
"""

import argparse
import json
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from portal import queueing
from portal.children import Child, tail
from portal.sandbox.quota import UNITS
from tests.bench import bare, mails
from tests.bench.ground import REAL_UNITS, STORES, Ground, ground, workers
from tests.bench.machine import cpu_of, memory_of
from tests.bench.sink import Running

#: What one mail costs by way of a draft, its copy read back.
UNITS_A_MAIL = UNITS["drafts.create"] + UNITS["drafts.send"] + UNITS["messages.get"]
CEILING = REAL_UNITS / UNITS_A_MAIL / 60
#: Seconds that are not counted, after the first mail went.
WARM_UP = 2.0
#: Mails a second that two cores could not pass, for knowing how many to prepare.
FASTEST = 700


@dataclass(frozen=True)
class Rate:
    """What was seen in the counted seconds. rate: mails a second; cpu: milliseconds a mail;
    memory: megabytes of all sending processes; refused: calls that met 429."""

    rate: float
    cpu: float
    memory: float
    refused: int
    mails: int
    sink_cpu: float
    share: float = 0.0


def main(words: Sequence[str] | None = None) -> None:
    told = arguments().parse_args(words)
    with ground(told.store, told.latency / 1000, real_quotas=told.quota) as place:
        floor = None
        if not told.quota and told.floor:
            floor = measure_floor(place, told.mailboxes, told.seconds)
        rate = measure(place, told)
    if told.json:
        both = {"drain": asdict(rate), "floor": asdict(floor) if floor else None}
        print(json.dumps(both))
        return
    print(f"{told.mailboxes} mailboxes, {told.latency:g} ms, {told.store}, {told.seconds:g} s")
    if floor:
        print(_line("raw loop, same calls", floor))
    print(_line("worker", rate))
    if floor:
        print(f"  ÷ raw loop {rate.rate / floor.rate:.3f}")
    if told.quota:
        print(f"  share of the ceiling {rate.share:.3f}, calls refused {rate.refused}")


def arguments() -> argparse.ArgumentParser:
    asked = argparse.ArgumentParser(prog="python -m tests.bench.drain")
    asked.add_argument("--latency", type=float, default=80)
    asked.add_argument("--mailboxes", type=int, default=32)
    asked.add_argument("--seconds", type=float, default=10)
    asked.add_argument("--store", choices=STORES, default="sqlite")
    asked.add_argument("--workers", type=int, default=2)
    asked.add_argument("--quota", action="store_true")
    asked.add_argument("--no-floor", dest="floor", action="store_false")
    asked.add_argument("--json", action="store_true")
    return asked


def _line(name: str, seen: Rate) -> str:
    return (
        f"  {name:<22}{seen.rate:8.1f} mails/s {seen.cpu:7.2f} ms CPU/mail"
        f" {seen.memory:6.0f} MB, sink {seen.sink_cpu:.2f} ms/mail"
    )


# -- measuring -------------------------------------------------------------------------------------


def measure_floor(place: Ground, mailboxes: int, seconds: float) -> Rate:
    place.sink.reset()
    with bare.running(place.home, place.sink.url, mailboxes, seconds + WARM_UP + 2) as loops:
        seen = watch(place.sink, loops, seconds)
    place.sink.reset()
    return seen


def measure(place: Ground, told: argparse.Namespace) -> Rate:
    """The real workers upon a queue deeper than they can empty meanwhile."""
    boxes = mails.connect(told.mailboxes)
    tokens = mails.queue(boxes, _enough(told))
    with workers(place, told.workers) as started:
        queueing.ring()
        seen = watch(place.sink, started, told.seconds, quota=told.quota)
    once_each(place, tokens)
    return seen


def _enough(told: argparse.Namespace) -> int:
    """Mails for each mailbox, some more than it can send."""
    seconds = told.seconds + WARM_UP + 3
    if told.quota:
        return int(CEILING * seconds * 1.1) + 3
    by_latency = 1 / max(2 * told.latency / 1000, 1e-6)
    return int(min(by_latency, FASTEST / told.mailboxes) * seconds) + 3


def watch(sink: Running, senders: list[Child], seconds: float, *, quota: bool = False) -> Rate:
    """Look for some seconds, from shortly after the first mail went."""
    wait_for(lambda: sink.state()["accepted"] > 0, senders)
    pids = [one.process.pid for one in senders]
    time.sleep(WARM_UP)
    began, cpu, sink_cpu = time.time(), cpu_of(pids), sink.state()["cpu"]
    time.sleep(seconds)
    ended, cpu_then, state = time.time(), cpu_of(pids), sink.state()
    memory = memory_of(pids)
    seen = [(at, box) for at, box, _ in sink.accepted() if began <= at < ended]
    many = max(1, len(seen))
    return Rate(
        rate=len(seen) / (ended - began),
        cpu=1000 * (cpu_then - cpu) / many,
        memory=memory,
        refused=state["refused"],
        mails=len(seen),
        sink_cpu=1000 * (state["cpu"] - sink_cpu) / many,
        share=share_of_ceiling(seen, ended - began) if quota else 0.0,
    )


def share_of_ceiling(seen: list[tuple[float, int]], seconds: float) -> float:
    """Each mailbox's pace from its first mail to its last, over what its units allow; the mean."""
    moments: dict[int, list[float]] = {}
    for at, box in seen:
        moments.setdefault(box, []).append(at)
    # A mailbox that fell silent before the end was not at its ceiling.
    shortest = seconds - 2 / CEILING
    spans = [(len(one) - 1) / max(one[-1] - one[0], shortest) for one in moments.values()]
    return statistics.mean(spans) / CEILING if spans else 0.0


def once_each(place: Ground, tokens: list[str]) -> None:
    """Nothing left twice, and nothing that nobody asked for."""
    left = Counter(token for _, _, token in place.sink.accepted())
    twice = [token for token, times in left.items() if times > 1]
    assert not twice, f"left twice: {twice[:5]}"
    assert set(left) <= set(tokens), "something left that was not asked for"


def wait_for(true: Callable[[], bool], senders: list[Child], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        for one in senders:
            assert not one.has_ended(), one.epitaph()
            assert time.monotonic() < deadline, f"nothing was sent; {one.log}:\n{tail(one.log)}"
        time.sleep(0.05)


if __name__ == "__main__":
    main()
