"""Quota: how much of what Google allows a mailbox is used, and whether it is ever asked for more.

The sink counts units in a sliding minute as Google does, and refuses what goes beyond. The ceiling
is what 6,000 units a minute allow at 130 a mail: the draft, its sending and the copy read back.
"""

from collections.abc import Iterator

from tests.bench import drain
from tests.bench.ground import LONG, ground
from tests.bench.row import Row

MAILBOXES = (1, 10, 100)
LATENCIES = (80, 500)
SECONDS = 90 if LONG else 60
MARK = ">= 0.97"


def rows() -> Iterator[Row]:
    for latency in LATENCIES:
        for mailboxes in MAILBOXES:
            yield measured(mailboxes, latency)


def measured(mailboxes: int, latency: int) -> Row:
    words = f"--quota --mailboxes {mailboxes} --latency {latency} --seconds {SECONDS}"
    told = drain.arguments().parse_args([*words.split(), "--store", "postgresql"])
    with ground(told.store, latency / 1000, real_quotas=True) as place:
        seen = drain.measure(place, told)
    name = f"share of the quota, {mailboxes} mailbox{'es' * (mailboxes > 1)}, {latency} ms"
    ceiling = f"{mailboxes * drain.CEILING:.1f}/s, {seen.refused} refused"
    # A refusal is a miss, however much was sent.
    figure = seen.share if not seen.refused else 0.0
    return Row(name, f"{seen.rate:.2f} mails/s", ceiling, figure, MARK)
