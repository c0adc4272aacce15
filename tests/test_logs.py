"""Each line of the log is one JSON object that says what it is about, and gives nobody away."""

import contextlib
import json
import logging
import os
import socketserver
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from flask import Flask
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from portal import queueing
from portal.config import Config
from portal.dispatch import State
from portal.extensions import db
from portal.logs import JsonLines, PlainLines, about, redacted
from tests import factories, servers
from tests.factories import OFFICE, document
from tests.test_queueing import in_state, until

if TYPE_CHECKING:
    from portal.sandbox.server import SandboxServer

ACCESS, REFRESH, CODE = "ya29.a0Canary_x-7", "1//0Canary-refresh-xyz-7", "4/0ACanary-code-of-7xyz"
#: Words that may stand in the database and in Google alone.
CANARIES = ("canary", "ya29", "1//0", "homes.example", "brightspark.example", "Pelargonium")

LONG_SESSION = "eJwlzjEOwzAIAMC_eO5gDAacz0QYg9o1aa.aRXk4A.Zt7sGkP0c1Jm_hNbXq2oYw4LdUE"

SAID = (
    ("Invalid To header: mary.lee@homes.example", "Invalid To header: [address]"),
    ("GET /settings/sendAs/tom%40brightspark.example", "GET /settings/sendAs/[address]"),
    (f"Authorization: Bearer {ACCESS}", "Authorization: Bearer [secret]"),
    (f"it was {REFRESH}, then {CODE}", "it was [secret], then [secret]"),
    ("/callback?state=abc&code=4%2F0Abc-defghijklmnop", "/callback?state=[secret]&code=[secret]"),
    ('{"refresh_token": "xyz", "expires_in": 5}', '{"refresh_token": "[secret]", "expires_in": 5}'),
    ("postgresql://olive:hunter2@db/x", "postgresql://[secret]@db/x"),
    ("/links/password/Zm9vYmFy.sig is used up", "/links/password/[secret] is used up"),
    ("ERROR\nDETAIL:  Failing row contains (7, Dear Mary)", "ERROR\nDETAIL: [hidden]"),
    (
        "ERROR\n  DETAIL:  Failing row contains (7, Dear Mary,\n\nyour key: 12\n)\n[SQL: INSERT]",
        "ERROR\n  DETAIL: [hidden]\n[SQL: INSERT]",
    ),
    ("DETAIL: Key (7)\nDear Mary\nCONTEXT: row 1", "DETAIL: [hidden]\nCONTEXT: row 1"),
    ("invalid_client: GOCSPX-Canary_x-7 is old", "invalid_client: [secret] is old"),
    (
        "GOOGLE_CLIENT_SECRET=xyz METRICS_TOKEN=abc",
        "GOOGLE_CLIENT_SECRET=[secret] METRICS_TOKEN=[secret]",
    ),
    ("TOKEN_KEYS=one:abc=,two:def= next", "TOKEN_KEYS=[secret] next"),
    (f"it was .{LONG_SESSION};", "it was [secret];"),
    (f"it was {LONG_SESSION};", "it was [secret];"),
    (
        "/sign-in?next=%2Flinks%2Fpassword%2FZm9vYmFy.sig",
        "/sign-in?next=%2Flinks%2Fpassword%2F[secret]",
    ),
    ('To: "Mary \\"M\\" Lee"@homes.example', "To: [address]"),
    (r'{"to": "\"Mary Lee\"@homes.example"}', '{"to": "[address]"}'),
    ("To: hill/12%lee@homes.example", "To: [address]"),
    ("/sendAs/%22mary%20lee%22%40homes.example", "/sendAs/[address]"),
    ("[parameters: ('Dear Mary',)]", "[parameters: hidden]"),
    (
        "dispatch 5, attempt 2: 429 rateLimitExceeded",
        "dispatch 5, attempt 2: 429 rateLimitExceeded",
    ),
)


@pytest.mark.parametrize(("said", "written"), SAID)
def test_what_gives_somebody_away_is_taken_out(said: str, written: str) -> None:
    assert redacted(said) == written


def test_a_very_long_word_is_no_trouble() -> None:
    began = time.process_time()
    for many in ("a", "\n", "\n ", '"', "\\", '\\"', "eyJ-", "DETAIL:\n", "password=", "1/", "%2F"):
        redacted(many * 1_000_000 + "@")
    assert time.process_time() - began < 2


def record(event: str, *values: Any, problem: Exception | None = None) -> logging.LogRecord:
    trace = (type(problem), problem, None) if problem else None
    return logging.LogRecord("portal.x", logging.INFO, __file__, 1, event, values, trace)


def line(event: str, *values: Any, problem: Exception | None = None) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(JsonLines().format(record(event, *values, problem=problem)))
    return read


def test_a_line_says_what_it_is_about() -> None:
    with about(mailbox=1, batch=None):
        with about(dispatch=5, attempt=2):
            inner = line("accepted")
        outer = line("done")
    assert (inner["event"], inner["level"], inner["dispatch"]) == ("accepted", "info", 5)
    assert (inner["attempt"], inner["mailbox"]) == (2, 1)
    assert outer["mailbox"] == 1 and "dispatch" not in outer and "batch" not in outer
    assert "mailbox" not in line("later")
    with about(dispatch=5):
        plain = PlainLines().format(record("accepted"))
    assert " INFO accepted " in plain and plain.endswith(" dispatch=5")


def test_in_plain_text_no_value_begins_a_line_of_its_own() -> None:
    forged = "x\r\n10:42:07 INFO accepted\u2028\x1b[2J"
    problem = ValueError(forged)
    with about(worker=forged):
        told = PlainLines().format(record("it %s", forged, problem=problem)).splitlines()
    assert told[0].count(r"x\r\n10:42:07 INFO accepted\u2028\x1b[2J") == 2
    assert told[1:] == ["    ValueError: x", "    10:42:07 INFO accepted", r"    \x1b[2J"]


def test_a_traceback_is_one_line_and_gives_nobody_away() -> None:
    told = line("it %s", "broke", problem=ValueError("mary.lee@homes.example\nis not known"))
    assert told["trace"] == "ValueError: [address]\nis not known"


# -- a request -------------------------------------------------------------------------------------


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """The lines of the portal's own log."""
    found: list[dict[str, Any]] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(json.loads(self.format(record)))

    kept, portal = Kept(), logging.getLogger("portal")
    kept.setFormatter(JsonLines())
    monkeypatch.setattr(portal, "level", logging.INFO)
    portal.manager._clear_cache()  # type: ignore[attr-defined]
    portal.addHandler(kept)
    yield found
    portal.removeHandler(kept)


@pytest.mark.sqlite_only
def test_each_request_is_one_line_that_names_the_route_and_not_the_address(
    app: Flask, written: list[dict[str, Any]]
) -> None:
    answer = app.test_client().get("/links/password/a-secret-key?next=mary@homes.example")
    (one,) = (told for told in written if told["event"] == "request")
    assert (one["method"], one["route"]) == ("GET", "/links/password/<key>")
    assert one["status"] == answer.status_code and one["ms"] >= 0
    assert one["request"] == answer.headers["X-Request-Id"]
    assert "a-secret-key" not in json.dumps(written) and "mary" not in json.dumps(written)


@pytest.mark.sqlite_only
def test_the_number_on_the_page_of_an_error_finds_its_lines(
    app: Flask, written: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Any:
        raise RuntimeError("no room for mary.lee@homes.example")

    monkeypatch.setitem(app.view_functions, "health.alive", broken)
    page = app.test_client().get("/healthz").text
    error, request = (told for told in written if told["event"] != "")
    assert f'<strong class="mono">{error["request"]}</strong>' in page
    assert error["request"] == request["request"] and request["status"] == 500
    assert error["trace"].endswith("RuntimeError: no room for [address]")


# -- a real sending --------------------------------------------------------------------------------


@contextlib.contextmanager
def breaking(home: Path, points: dict[str, str]) -> Iterator[str]:
    """Where a worker asks what is to happen: at each of these points, once, an error."""

    class Desk(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            point = json.loads(self.rfile.readline())["point"]
            words = points.pop(point, "")
            self.wfile.write(f"raise {words}\n".encode() if words else b"go\n")

    path = str(home / "steering")
    with socketserver.ThreadingUnixStreamServer(path, Desk) as desk:
        threading.Thread(target=desk.serve_forever, args=(0.05,), daemon=True).start()
        yield path
        desk.shutdown()


@pytest.mark.sqlite_only
def test_through_refusals_unclear_answers_and_errors_no_line_gives_anything_away(
    database: str, redis_url: str, local_google: "SandboxServer", tmp_path: Path
) -> None:
    told = f"canary.mary@homes.example {ACCESS}"
    environ = servers.settings(
        DATABASE_URL=database,
        REDIS_URL=redis_url,
        SWEEP_SECONDS="1",
        SETTLE_GRACE="0",
        **servers.pointed_at(local_google.url),
    )
    refusal = {"method": "drafts.create", "kind": "refuse", "message": f"Invalid To header: {told}"}
    for fault in (refusal, {"method": "drafts.send", "kind": "503-after"}):
        assert requests.post(f"{local_google.url}/_sandbox/faults", json=fault, timeout=5).ok
    log = tmp_path / "worker.log"
    points = {"result.committed": told, "settle.looked": told}
    with (
        servers.inside(Config.from_env(environ, dotenv=Path(os.devnull))),
        servers.short_directory("swsteer-") as home,
        breaking(home, points) as steered,
    ):
        factories.connected(local_google.url)
        words = {"subject": "Pelargonium canary", "body": "Pelargonium canary words"}
        mary = factories.mary("canary.mary@homes.example")
        for _ in range(3):
            factories.asked(document(contact=mary), to=mary.email, **words)
        db.session.commit()
        with servers.worker({**environ, "SENDWRIGHT_FAILPOINTS": steered}, log):
            until(lambda: in_state(State.ACCEPTED) == 2 and in_state(State.REFUSED) == 1, 30)
    lines = [json.loads(one) for one in log.read_text().splitlines()]
    assert {one["event"] for one in lines} >= {"a turn broke off", "broke off: Steered", "accepted"}
    assert {one["dispatch"] for one in lines if "dispatch" in one} == {1, 2, 3}
    assert any("[address] [secret]" in one.get("trace", "") for one in lines)
    everything = log.read_text() + said_to(redis_url)
    assert [one for one in CANARIES if one.lower() in everything.lower()] == []


def said_to(redis_url: str) -> str:
    """Everything that lies in Redis, as text."""
    redis = Redis.from_url(redis_url)
    return " ".join(repr(redis.dump(name)) + repr(name) for name in redis.keys("*"))


@pytest.mark.sqlite_only
def test_what_rq_keeps_of_a_failure_gives_nobody_away(app: Flask, redis_url: str) -> None:
    redis = Redis.from_url(redis_url)
    queue = Queue("dispatch", connection=redis, serializer=JSONSerializer)
    job = queue.enqueue_call(queueing.DRAIN, failure_ttl=60)
    worker = queueing.DrainWorker([queue], connection=redis, serializer=JSONSerializer)
    trace = f"Traceback\nValueError: {OFFICE} {ACCESS}"
    worker.handle_job_failure(job, queue, exc_string=trace)
    kept = job.latest_result()
    assert kept is not None and kept.exc_string == "Traceback\nValueError: [address] [secret]"


# -- the terminal ----------------------------------------------------------------------------------


def test_every_line_of_a_process_goes_the_same_way() -> None:
    """Libraries, warnings and what ends the process too: each a JSON object on stderr."""
    program = (
        "import logging, warnings; from portal import logs; logs.begin('json');"
        "logging.getLogger('_granian').info('Started');"
        "warnings.warn('mary@homes.example is old');"
        "raise ValueError('mary@homes.example')"
    )
    answer = servers.run_python("-c", program, environ={"PATH": os.environ["PATH"]})
    lines = [json.loads(one) for one in answer.stderr.splitlines()]
    assert [one["level"] for one in lines] == ["info", "warning", "critical"]
    assert lines[2]["trace"].endswith("ValueError: [address]")
    assert "mary" not in answer.stderr.replace("-c", "")
