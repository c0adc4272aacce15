"""Throughput: the drain beside a raw loop that makes the same calls and stores nothing.

Durable commits, attempts, evidence and the proof of From are the portal's part; the loop has none
of it. As many mailboxes side by side on both sides, the same sink, the same minute.
"""

from collections.abc import Iterator

from tests.bench import drain
from tests.bench.drain import Rate
from tests.bench.ground import LONG, ground
from tests.bench.row import Row

SECONDS = 20 if LONG else 8
#: Latency of each call (ms), mailboxes, store, and what the drain is to reach of the loop.
RUNS = (
    (500, 100, "postgresql", ">= 0.95"),
    (80, 32, "postgresql", ">= 0.85"),
    (80, 32, "sqlite", ">= 0.85"),
    (0, 32, "postgresql", ""),
    (0, 32, "sqlite", ""),
)
CPU_MARK, MEMORY_MARK = "<= 1.5", "<= 1.5"


def rows() -> Iterator[Row]:
    for latency, mailboxes, store, mark in RUNS:
        floor, seen = measured(latency, mailboxes, store)
        name = f"drain ÷ raw loop, {latency} ms, {mailboxes} mailboxes, {store}"
        ratio = seen.rate / floor.rate
        yield Row(name, f"{seen.rate:.0f} mails/s", f"{floor.rate:.0f} mails/s", ratio, mark)
        yield Row(
            f"  CPU a mail, PDF drawn before (loop: {floor.cpu:.2f} ms)",
            f"{seen.cpu:.2f} ms",
            figure=seen.cpu,
            mark=CPU_MARK,
        )
        if mailboxes == 100:
            each = seen.memory / mailboxes
            name, held = "  memory for each mail in flight", f"{seen.memory:.0f} MB in all"
            yield Row(name, f"{each:.2f} MB", held, each, MEMORY_MARK)


def measured(latency: int, mailboxes: int, store: str) -> tuple[Rate, Rate]:
    """The floor and the drain."""
    words = f"--mailboxes {mailboxes} --latency {latency} --seconds {SECONDS} --store {store}"
    told = drain.arguments().parse_args(words.split())
    with ground(store, latency / 1000) as place:
        return drain.measure_floor(place, mailboxes, SECONDS), drain.measure(place, told)
