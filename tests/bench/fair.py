"""Fair: a quote that somebody sends while ten thousand invoices wait for the same mailbox.

Real quotas, real clicks: each quote is drawn, frozen and stored by the click, and is accepted when
the sink has it. The invoices go on in between, at the pace that is left.
"""

import random
import statistics
import time
from collections.abc import Iterator

from portal import queueing
from portal.extensions import db
from tests import factories
from tests.bench import drain, mails
from tests.bench.ground import LONG, Ground, ground, workers
from tests.bench.row import Row

INVOICES = 10_000
QUOTES = 40 if LONG else 24
EVERY = 5.0
LATENCY = 0.08
PATIENCE = 60
#: Of the invoices few leave meanwhile, so they carry no PDF: pace is what they contend for.
NO_PDF = 0


def rows() -> Iterator[Row]:
    with ground("postgresql", LATENCY, real_quotas=True) as place:
        boxes = mails.connect(1)
        mails.queue(boxes, INVOICES, pdf_bytes=NO_PDF)
        with workers(place) as started:
            queueing.ring()
            drain.wait_for(lambda: place.sink.state()["accepted"] > 1, started)
            time.sleep(5)
            began, before = time.time(), place.sink.state()["accepted"]
            waits, clicks = quotes(place)
            spent = time.time() - began
            rate = (place.sink.state()["accepted"] - before) / spent
        refused = place.sink.state()["refused"]
    slow = percentile(waits, 0.95)
    middle = statistics.median(waits)
    name = f"a quote amid {INVOICES:,} invoices, click to accepted, p95"
    yield Row(name, f"{slow:.1f} s", f"median {middle:.1f} s", slow, "<= 10")
    yield Row("  the click itself, p95", f"{percentile(clicks, 0.95):.2f} s")
    share = rate / drain.CEILING
    yield Row("  share of the quota, both together", f"{rate:.2f} mails/s", figure=share)
    yield Row("  calls refused for quota", f"{refused}", figure=refused, mark="<= 0")


def quotes(place: Ground) -> tuple[list[float], list[float]]:
    """Seconds from each click until it was accepted, and until the click was answered."""
    chance = random.Random(INVOICES)
    clicked, clicks = {}, []
    for _ in range(QUOTES):
        paper = factories.document("quote", author=factories.olive())
        began = time.time()
        token = factories.asked(paper, factories.olive()).token
        db.session.commit()
        clicked[token] = began
        clicks.append(time.time() - began)
        time.sleep(EVERY * chance.uniform(0.5, 1.5))
    accepted: dict[str, float] = {}
    deadline = time.monotonic() + PATIENCE
    while not set(clicked) <= set(accepted) and time.monotonic() < deadline:
        time.sleep(0.2)
        accepted = {token: at for at, _, token in place.sink.accepted()}
    return [accepted[token] - at for token, at in clicked.items()], clicks


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]
