"""Flood: what comes in, read from a local Google and a local Microsoft by one process.

A labelled mixture of reports, replies, automatic answers and other mail (tests/incoming) lies in
the company's inbox. Each mail that names what it is about has its sending in the store. What the
watch made of it is held against the labels: how many were tied to their own sending as what they
are (recall), and how many of those that it followed were right (precision).
"""

import base64
import itertools
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from sqlalchemy import insert, select

from portal import inboxes
from portal.bounces import Arrival, Inbox, Standing
from portal.config import Config
from portal.dispatch import Dispatch, Proof, State
from portal.documents import Document
from portal.extensions import db
from portal.incoming import Sort
from portal.mailboxes import Mailbox
from portal.providers.gmail import WHOLE_SCOPES
from tests import factories, servers
from tests.bench import mails
from tests.bench.ground import LONG, UNLIMITED, database
from tests.bench.row import Row
from tests.faults.carriers import Carrier, Gmail, Microsoft
from tests.incoming.mails import Labelled
from tests.incoming.mixture import flood
from tests.incoming.scores import Score

COUNT = int(os.environ.get("FLOOD", "0")) or (100_000 if LONG else 10_000)
#: So many are laid into the inbox with one call.
TOGETHER = 500
#: Seconds that the issue allows for 10,000, on one core.
ALLOWED = 600 * COUNT / 10_000
MARK = ">= 0.97"


@dataclass(frozen=True)
class Read:
    """What one look took, and what it made of the flood."""

    seconds: float
    busy: float
    sorts: dict[str, Score]
    quarantined: int


def rows() -> Iterator[Row]:
    for carrier, connect in ((Gmail, _at_google), (Microsoft, _at_microsoft)):
        read = _read(carrier, connect)
        each = f"{COUNT / read.seconds:,.0f} mails/s"
        what = f"{COUNT:,} mails in an inbox at {carrier.title}"
        yield Row(what, f"{read.seconds:.0f} s", each, read.seconds, f"<= {ALLOWED:.0f}")
        yield Row("  CPU of the reader, a mail", f"{1000 * read.busy / COUNT:.2f} ms")
        yield Row("  not read", str(read.quarantined), "", read.quarantined, "<= 0")
        for sort, score in sorted(read.sorts.items()):
            found = f"{score.right:,} of {score.real:,}"
            yield Row(f"  {sort}: recall", found, "", score.recall, MARK)
            yield Row("    precision", f"{score.said:,} said", "", score.precision, MARK)


def _at_google(carrier: Carrier) -> Mailbox:
    return factories.connected(carrier.url, scopes=WHOLE_SCOPES)


def _at_microsoft(carrier: Carrier) -> Mailbox:
    carrier.add(factories.OFFICE)
    return carrier.sign_in(factories.OFFICE)


def _read(kind: type[Carrier], connect: Callable[[Carrier], Mailbox]) -> Read:
    with tempfile.TemporaryDirectory(prefix="swflood-") as place:
        home, carrier = Path(place), kind(Path(place))
        try:
            with database("sqlite", home) as address:
                told = {"DATABASE_URL": address, "PROVIDER_TIMEOUT": "30"}
                settings = servers.settings(**told | UNLIMITED | carrier.settings)
                config = Config.from_env(settings, dotenv=Path(os.devnull))
                with servers.inside(config):
                    factories.bright_spark()
                    box = connect(carrier)
                    labels = _laid_in(carrier, box)
                    return _look(labels)
        finally:
            carrier.end()


def _laid_in(carrier: Carrier, box: Mailbox) -> dict[str, Labelled]:
    """The flood in the inbox, its sendings in the store; each mail by the provider's id of it."""
    labels: dict[str, Labelled] = {}
    serials = itertools.count(mails.FIRST)
    coming = flood(COUNT)
    while some := list(itertools.islice(coming, TOGETHER)):
        _store_sendings(box, some, serials)
        raws = [{"raw": base64.urlsafe_b64encode(one.raw).decode()} for one in some]
        body = {"account": box.email, "mails": raws}
        answer = requests.post(f"{carrier.url}/_sandbox/deliver", json=body, timeout=120)
        answer.raise_for_status()
        labels |= dict(zip(answer.json()["ids"], some, strict=True))
    return labels


def _store_sendings(box: Mailbox, some: list[Labelled], serials: Iterator[int]) -> None:
    known = [one.ties for one in some if one.ties]
    wanted = select(Dispatch.proof_message_id).where(Dispatch.proof_message_id.in_(known))
    there = set(db.session.scalars(wanted))
    new = {one.ties: one for one in some if one.ties and one.ties not in there}
    author, customer = factories.olive().id, factories.mary().id
    papers, sendings = [], list[dict[str, Any]]()
    for message_id, one in new.items():
        serial = next(serials)
        papers.append(mails._paper(serial, author, customer))
        row = mails._row(serial, message_id.strip("<>")[:8].rjust(32, "0"), b"", box.id, 0, 0)  # type: ignore[arg-type]
        del row["mime"]
        sent = {"state": State.ACCEPTED, "proof": Proof.MATCHES, "proof_message_id": message_id}
        sendings.append(row | sent | {"to": [*one.failed] or [factories.MARY]})
    if new:
        db.session.execute(insert(Document), papers)
        db.session.execute(insert(Dispatch), sendings)
    db.session.commit()


def _look(labels: dict[str, Labelled]) -> Read:
    began, busy = time.monotonic(), time.process_time()
    inboxes.look()
    seconds, busy = time.monotonic() - began, time.process_time() - busy
    inbox = db.session.scalars(select(Inbox)).one()
    assert not inbox.pending and not inbox.problem, inbox.problem
    broken = select(Arrival).where(Arrival.standing == Standing.BROKEN)
    quarantined = len(list(db.session.scalars(broken)))
    return Read(seconds, busy, _scores(labels), quarantined)


def _scores(labels: dict[str, Labelled]) -> dict[str, Score]:
    """By sort: of all mails that name their sending, and of all that were followed."""
    tied = select(Arrival, Dispatch.proof_message_id).join(Arrival.dispatch)
    tied = tied.where(Arrival.standing == Standing.FOLLOWED)
    found = {row[0].provider_id: (row[0].sort, row[1]) for row in db.session.execute(tied)}
    sorts: dict[str, Score] = defaultdict(Score)
    for id_, label in labels.items():
        said = found.get(id_)
        if label.ties and label.sort != Sort.OTHER:
            sorts[label.sort].real += 1
        if said is not None:
            sorts[said[0]].said += 1
            sorts[said[0]].right += said == (label.sort, label.ties)
    return dict(sorts)
