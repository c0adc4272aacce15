"""Pages: how soon they answer to 50 people at once, while 100 mailboxes are being drained.

The portal is served as `make run` serves it, the workers send at Gmail's real pace, and each person
opens a page, looks at it for some seconds, and opens the next. The slowest twentieth of each page
counts, not of all together.
"""

import contextlib
import html
import random
import re
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

from sqlalchemy import select

from portal import queueing
from portal.children import Child
from portal.config import Config
from portal.dispatch import Dispatch, State
from portal.extensions import db
from portal.parts import granian_options
from tests import factories, servers
from tests.bench import drain, mails
from tests.bench.fair import percentile
from tests.bench.ground import LONG, Ground, ground, workers
from tests.bench.machine import cpu_of
from tests.bench.row import Row
from tests.servers import ROOT
from tests.test_launch import free_ports
from tests.visitor import HTMX, visitor

STORES = ("sqlite", "postgresql") if LONG else ("sqlite",)
MAILBOXES, EACH, LATENCY = 100, 60, 0.08
PEOPLE = 50
SECONDS = 60 if LONG else 25
#: How long somebody looks at a page before opening the next (seconds, from and to).
LOOKS = 1.0, 3.0
POLLS = 300
PAGES = {
    "home": "/",
    "list of invoices": "/documents/invoice",
    "one invoice": "/documents/{document}",
    "one sending": "/dispatches/{dispatch}",
    "outbox": "/outbox",
    "workers": "/workers",
    "contacts": "/contacts",
}


def rows() -> Iterator[Row]:
    for store in STORES:
        with ground(store, LATENCY, real_quotas=True) as place:
            boxes = mails.connect(MAILBOXES)
            mails.queue(boxes, EACH)
            with workers(place) as started, portal(place) as (served, port):
                queueing.ring()
                drain.wait_for(lambda: place.sink.state()["accepted"] > MAILBOXES, started)
                cookie = cookie_of(place)
                yield from visited(cookie, place, store, port)
                yield polled(cookie, store, served, port)


def visited(cookie: str, place: Ground, store: str, port: int) -> Iterator[Row]:
    """What fifty people see of it, page by page."""
    ids = some_ids()
    before, began = place.sink.state()["accepted"], time.monotonic()
    seen: dict[str, list[float]] = defaultdict(list)
    ends = began + SECONDS
    with ThreadPoolExecutor(PEOPLE) as people:
        visits = [people.submit(visit, port, cookie, ids, n, ends, seen) for n in range(PEOPLE)]
        for one in visits:
            one.result()
    sent = (place.sink.state()["accepted"] - before) / (time.monotonic() - began)
    slow = {name: percentile(times, 0.95) for name, times in seen.items()}
    worst = max(slow, key=lambda name: slow[name])
    what = f"slowest page ({worst}), {PEOPLE} people, {store}: p95"
    amid = f"{sent:.0f} mails/s beside"
    yield Row(what, f"{1000 * slow[worst]:.0f} ms", amid, 1000 * slow[worst], "<= 300")
    every = [one for times in seen.values() for one in times]
    yield Row(
        f"  all {len(every):,} pages together: p95", f"{1000 * percentile(every, 0.95):.0f} ms"
    )


def visit(
    port: int,
    cookie: str,
    ids: dict[str, int],
    number: int,
    ends: float,
    seen: dict[str, list[float]],
) -> None:
    chance = random.Random(number)
    time.sleep(chance.uniform(0, LOOKS[1]))
    line = HTTPConnection("127.0.0.1", port)
    while time.monotonic() < ends:
        name = chance.choice(list(PAGES))
        began = time.perf_counter()
        get(line, PAGES[name].format(**ids), {"Cookie": cookie})
        seen[name].append(time.perf_counter() - began)
        time.sleep(chance.uniform(*LOOKS))


def polled(cookie: str, store: str, served: Child, port: int) -> Row:
    """What the portal's processes use for each look of a page that waits for its sending.

    Each look names what the one before showed, as the page's own do.
    """
    path = "/dispatches/{dispatch}".format(**some_ids())
    headers = {"Cookie": cookie, **HTMX}
    line = HTTPConnection("127.0.0.1", port)
    path = next_look(get(line, path, headers), path)
    before = cpu_of([served.process.pid])
    for _ in range(POLLS):
        path = next_look(get(line, path, headers), path)
    each = 1000 * (cpu_of([served.process.pid]) - before) / POLLS
    return Row(f"poll of a running sending, {store}: CPU", f"{each:.2f} ms", "", each, "<= 1")


def get(line: HTTPConnection, path: str, headers: dict[str, str]) -> str:
    line.request("GET", path, headers=headers)
    answer = line.getresponse()
    page = answer.read().decode()
    assert answer.status in (200, 204), f"{path} answered {answer.status}"
    return page


def next_look(page: str, path: str) -> str:
    """Where the page looks again; an empty answer leaves it as it was."""
    found = re.search(r'hx-get="([^"]+)"', page)
    return html.unescape(found[1]) if found else path


def some_ids() -> dict[str, int]:
    """A sending that still waits, and its document."""
    query = select(Dispatch.id, Dispatch.document_id).where(Dispatch.state == State.QUEUED)
    found = db.session.execute(query.order_by(Dispatch.id.desc()).limit(1)).one()
    db.session.commit()
    return {"dispatch": found[0], "document": found[1]}


def cookie_of(place: Ground) -> str:
    """Olive's, signed in."""
    name = place.app.config["SESSION_COOKIE_NAME"]
    kept = visitor(place.app, factories.olive).client.get_cookie(name)
    assert kept is not None
    return f"{name}={kept.value}"


@contextlib.contextmanager
def portal(place: Ground) -> Iterator[tuple[Child, int]]:
    """The pages as they are served everywhere."""
    (port,) = free_ports(1)
    environ = {**place.environ, "PORT": str(port), "PUBLIC_URL": f"http://127.0.0.1:{port}"}
    options = granian_options(Config.from_env(environ, dotenv=ROOT / "nowhere"))
    command = [sys.executable, "-m", "granian", *options]
    with servers.process("Portal", command, environ, place.home / "portal.log") as child:
        servers.wait_for(lambda: answers(port), child)
        yield child, port


def answers(port: int) -> bool:
    try:
        get(HTTPConnection("127.0.0.1", port), "/healthz", {})
    except OSError:
        return False
    return True
