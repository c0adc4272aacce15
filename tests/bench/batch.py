"""How fast a batch of 10,000 is, on each store: filled, checked, completed, frozen, begun to leave.

    python -m tests.bench.batch [how many] [how many to freeze]

Filling and completing stand beside their floor: the same rows written by one bare executemany in
the same database in the same minute. The ratio is what counts, not the seconds.
"""

import contextlib
import datetime as dt
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import requests
from sqlalchemy import func, insert, select, text, update

from portal import batches, delivery
from portal.accounts import User
from portal.batches import Batch, BatchItem, ItemState
from portal.config import Config
from portal.dispatch import Dispatch
from portal.documents import Document, Line
from portal.documents.mail import paper
from portal.extensions import db
from portal.people import Contact
from portal.places import Property, PropertyContact
from portal.sandbox.server import SandboxServer
from tests import factories, servers

TOLD = [int(one) for one in sys.argv[1:] if one.isdecimal()]
HOW_MANY, TO_FREEZE = [*TOLD, *(10_000, 500)[len(TOLD) :]]
PROPERTIES, LINES = 2_000, 5
NO_LIMITS = {"units_per_minute": 0, "workspace_daily": 0}


def main() -> None:
    print(f"a batch of {HOW_MANY:,} invoices, {PROPERTIES:,} properties, seconds")
    print(f"  {'':<12}{'fill':>8}{'÷ bare':>8}{'check':>8}{'complete':>10}{'÷ bare':>8}", end="")
    print(f"{'frozen/s':>10}{'÷ drawn':>9}{'first gone':>12}")
    with tempfile.TemporaryDirectory() as folder, servers.redis_server() as redis_url:
        for name, store in (("SQLite", sqlite(Path(folder))), ("PostgreSQL", postgresql())):
            with store as address, SandboxServer() as google, inside(address, redis_url, google):
                print(f"  {name:<12}{measured(google.url)}", flush=True)


@contextlib.contextmanager
def sqlite(folder: Path) -> Iterator[str]:
    yield f"sqlite:///{folder}/bench.sqlite3"


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """As an installation runs it: a commit is on the disk before anybody is told."""
    with servers.postgres() as server:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            server.execute(f"ALTER SYSTEM SET {setting} = on")
        server.execute("SELECT pg_reload_conf()")
        with server.database("bench") as address:
            yield address


@contextlib.contextmanager
def inside(address: str, redis_url: str, google: SandboxServer) -> Iterator[None]:
    servers.migrate(address)
    requests.post(f"{google.url}/_sandbox/settings", json=NO_LIMITS, timeout=5)
    environ = servers.settings(
        DATABASE_URL=address,
        REDIS_URL=redis_url,
        LEASE_SECONDS="60",
        **servers.pointed_at(google.url),
    )
    with servers.inside(Config.from_env(environ, dotenv=Path(os.devnull))):
        yield


def measured(google: str) -> str:
    """One line of the table."""
    factories.connected(google)
    olive = factories.olive()
    write_documents(olive)
    draft = batches.make("Month end", olive)
    filled = timed(lambda: batches.fill(draft, select(Document.id), olive))
    bare_fill = timed(lambda: bare_items(draft))
    checked = timed(lambda: check(draft, olive))
    completed = timed(lambda: batches.complete(draft, olive, draft.version))
    bare_states = timed(lambda: bare_update(draft))
    drawn = timed(draw_one) / 20
    each, first = freeze(draft)
    return (
        f"{filled:8.2f}{filled / bare_fill:8.2f}{checked:8.2f}{completed:10.2f}"
        f"{completed / bare_states:8.2f}{1 / each:10.0f}{drawn / each:9.2f}{first:12.2f}"
    )


def check(draft: Batch, olive: User) -> None:
    while not batches.check(draft, olive).finished:
        pass


# -- what a big company has ------------------------------------------------------------------------


def write_documents(olive: User) -> None:
    """Properties of one branch with a billing contact each, and invoices with five lines each."""
    branch = factories.branch()
    db.session.add_all(
        Contact(id=1000 + n, business=f"Owner {n}", email=f"owner{n}@homes.example")
        for n in range(PROPERTIES)
    )
    db.session.commit()
    places = [
        {"id": 1000 + n, "customer_id": 1000 + n, "name": f"{n} Hill St", "branch_id": branch.id}
        for n in range(PROPERTIES)
    ]
    marks = [
        {"property_id": 1000 + n, "contact_id": 1000 + n, "billing": True, "email_invoice": True}
        for n in range(PROPERTIES)
    ]
    papers = [
        {"id": 1 + n, "kind": "invoice", "number": f"INV-{n:06}", "issued": dt.date(2026, 11, 1)}
        | {"contact_id": 1000 + n % PROPERTIES, "property_id": 1000 + n % PROPERTIES}
        | {"branch_id": branch.id, "total": Decimal("550.00"), "created_by_id": olive.id}
        for n in range(HOW_MANY)
    ]
    lines = [
        {"document_id": 1 + n, "position": m, "description": f"Visit {m}", "unit_price": Decimal(1)}
        for n in range(HOW_MANY)
        for m in range(LINES)
    ]
    tables = (Property, places), (PropertyContact, marks), (Document, papers)
    for table, rows in (*tables, (Line, lines)):
        db.session.execute(insert(table), rows)
    db.session.commit()
    db.session.execute(text("ANALYZE"))
    db.session.commit()


# -- floors ----------------------------------------------------------------------------------------


def bare_items(draft: Batch) -> None:
    """The rows that filling writes, items and documents, each by one statement for all."""
    with floor():
        blank = {"batch_id": draft.id, "state": "unchecked", "to": [], "cc": []}
        names = ("sender_email", "sender_name", "reason", "why", "problem_code", "problem")
        blank |= dict.fromkeys((*names, "hint", "fix"), "")
        blank |= dict.fromkeys(("size", "document_version", "sending_number", "tries"), 0)
        ids = list(db.session.scalars(select(Document.id)))
        db.session.execute(text("DELETE FROM batch_items"))
        connection = db.session.connection()
        connection.execute(insert(BatchItem), [blank | {"document_id": one} for one in ids])
        statement = text(
            "UPDATE documents SET batch_id = :batch, batch_status = 'x' WHERE id = :id"
        )
        connection.execute(statement, [{"batch": draft.id, "id": one} for one in ids])


def bare_update(draft: Batch) -> None:
    """The columns that completing writes, by one statement each for all."""
    with floor():
        ids = list(db.session.scalars(select(Document.id)))
        connection = db.session.connection()
        states = text("UPDATE batch_items SET state = 'x' WHERE document_id = :id")
        connection.execute(states, [{"id": one} for one in ids])
        words = "UPDATE documents SET batch_status = 'y', email_status = 'y' WHERE id = :id"
        connection.execute(text(words), [{"id": one} for one in ids])


@contextlib.contextmanager
def floor() -> Iterator[None]:
    """What a floor writes is not kept."""
    yield
    db.session.flush()
    db.session.rollback()


def draw_one() -> None:
    """Twenty PDFs by themselves, on one thread."""
    for one in list(db.session.scalars(select(Document).limit(20)).unique()):
        paper(one.facts())
    db.session.commit()


# -- freezing --------------------------------------------------------------------------------------


def freeze(draft: Batch) -> tuple[float, float]:
    """Seconds for each of the first few hundred, and until the first mail had left."""
    kept = select(BatchItem.id).order_by(BatchItem.id).limit(TO_FREEZE)
    others = update(BatchItem).where(BatchItem.id.not_in(kept)).values(state=ItemState.LEFT)
    db.session.execute(others)
    db.session.commit()
    started = time.time()
    delivery.drain()
    gone = db.session.scalar(select(func.min(Dispatch.accepted_at)))
    last = db.session.scalar(select(func.max(Dispatch.requested_at)))
    count = db.session.scalar(select(func.count()).select_from(Dispatch)) or 1
    db.session.commit()
    assert gone is not None and last is not None and count == TO_FREEZE
    return (last.timestamp() - started) / count, gone.timestamp() - started


def timed(deed: Callable[[], object]) -> float:
    started = time.perf_counter()
    deed()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
