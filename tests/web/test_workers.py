"""The Workers page, and what machines ask: who sends, how fast, what waits, and what to do."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from types import SimpleNamespace

import pytest
from bs4 import BeautifulSoup
from flask import Flask
from sqlalchemy import text

from portal import instance, queueing, readiness
from portal.columns import now
from portal.dispatch import Attempt, Dispatch, State
from portal.extensions import db
from portal.mailboxes import Health, Mailbox
from portal.web import workers
from portal.workers import Worker
from tests import servers
from tests.bench import mails
from tests.factories import OFFICE, asked, document, office_mailbox, olive
from tests.visitor import Visitor, visitor


@pytest.fixture
def manager(app: Flask) -> Visitor:
    return visitor(app, olive)


@pytest.fixture
def told(app: Flask) -> Iterator[Callable[..., None]]:
    """Changes what the store says, within a context."""

    def change(*rows: object, **box: object) -> None:
        with app.app_context():
            one = db.session.query(Mailbox).first() or office_mailbox()
            for name, value in box.items():
                setattr(one, name, value)
            db.session.add_all(rows)
            db.session.commit()
            db.session.remove()

    return change


def a_worker(silent_for: float = 0, **known: object) -> Worker:
    seen = now() - timedelta(seconds=silent_for)
    return Worker(name="the-van:7", host="the-van", pid=7, doing="waiting", seen_at=seen, **known)


def sending(app: Flask, state: State, **values: object) -> int:
    with app.app_context():
        office_mailbox() if not db.session.query(Mailbox).first() else None
        one: Dispatch = asked(document())
        one.state = state
        for name, value in values.items():
            setattr(one, name, value)
        db.session.commit()
        return one.id


# -- the page --------------------------------------------------------------------------------------


@pytest.mark.sqlite_only
def test_where_no_worker_runs_the_page_says_how_to_start_one(
    manager: Visitor, told: Callable[..., None]
) -> None:
    words = manager.words("/workers")
    assert "No worker is running" in words and "Nothing is lost" in words
    assert ".venv/bin/python worker.py" in words
    told(a_worker(silent_for=600))
    assert "Ended without a word" in manager.words("/workers")
    told(Worker(name="server-2:9", host="server-2", pid=9, doing="waiting"))
    words = manager.words("/workers")
    assert "All is ready" in words and "server-2" in words and "worker.py" not in words


@pytest.mark.sqlite_only
def test_without_redis_the_page_says_what_to_look_at(
    manager: Visitor, told: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    told(a_worker())
    monkeypatch.setattr(queueing, "rings", lambda: None)
    words = manager.words("/workers")
    assert "Redis cannot be reached" in words and "REDIS_URL" in words


def test_each_mailbox_shows_its_state_what_it_used_and_what_waits(
    app: Flask, manager: Visitor, told: Callable[..., None]
) -> None:
    told(a_worker(), hosted_domain="brightspark.example")
    sending(app, State.QUEUED)
    sending(app, State.ACCEPTED, accepted_at=now() - timedelta(seconds=10))
    words = manager.words("/workers")
    assert f"{OFFICE} Connected In the last minute 1 of" in words
    assert "In the last 24 hours 1 of 2,000 1 waits , the first since" in words
    assert "Mail is on its way" in words
    holder = {"drain_holder": "the-van:8/1/2", "drain_until": now() + timedelta(minutes=2)}
    told(paused_until=now() + timedelta(minutes=5), pause_note="Gmail asks for patience.", **holder)
    words = manager.words("/workers")
    assert "Paused until" in words and "Gmail asks for patience." in words
    assert "the-van works on it now." in words
    told(health=Health.NEEDS_SIGN_IN)
    assert f"{OFFICE} needs someone to sign in" in manager.words("/workers")


def test_what_failed_is_told_in_the_providers_words_with_the_way_to_it(
    app: Flask, manager: Visitor, told: Callable[..., None]
) -> None:
    failed = sending(app, State.QUEUED)
    words = "429 rateLimitExceeded"
    told(Attempt(dispatch_id=failed, number=1, worker="x", outcome="try later", words=words))
    page = manager.get("/workers").text
    assert words in page and "To be tried again." in page
    assert f'href="/dispatches/{failed}"' in page


@pytest.mark.sqlite_only
def test_many_mailboxes_with_nothing_to_do_stand_behind_a_fold(
    app: Flask, manager: Visitor, told: Callable[..., None]
) -> None:
    sending(app, State.QUEUED)
    told(*(Mailbox(account_sub=f"{n}", email=f"b{n}@brightspark.example") for n in range(8)))
    soup = BeautifulSoup(manager.get("/workers").text, "html.parser")
    fold = soup.select_one("section[aria-labelledby=boxes-title] details")
    assert fold and "8 more mailboxes have nothing to do" in fold.text
    assert OFFICE not in fold.text.replace("\n", "")


@pytest.mark.sqlite_only
def test_of_many_busy_mailboxes_the_longest_queues_are_shown_with_all_their_figures(
    app: Flask, manager: Visitor, told: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "MOST_BOXES", 2)
    with app.app_context():
        boxes = mails.connect(9)
        mails.queue(boxes, 1, pdf_bytes=0)
        mails.queue(boxes[4:5], 3, pdf_bytes=0)
        ended = db.session.get_one(Mailbox, boxes[7])
        ended.health = Health.NEEDS_SIGN_IN
        longest, needs_somebody = db.session.get_one(Mailbox, boxes[4]).email, ended.email
        db.session.commit()
    card = BeautifulSoup(manager.get("/workers").text, "html.parser")
    section = card.select_one("section[aria-labelledby=boxes-title]")
    assert section and "7 more mailboxes, 7 with mail to send" in section.text
    shown = [one.text for one in section.select("ul.rows:not(details ul) > li strong.break")]
    assert shown == [needs_somebody, longest]


@pytest.mark.sqlite_only
def test_a_look_that_finds_nothing_new_is_answered_with_nothing(
    app: Flask,
    manager: Visitor,
    told: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "TOLD_ANEW", 10**9)
    told(a_worker())

    def link() -> str:
        region = BeautifulSoup(manager.get("/workers").text, "html.parser").select_one("#sending")
        assert region
        return str(region["hx-get"])

    first = link()
    assert manager.get(first, htmx=True).status_code == 204
    assert manager.get(first).status_code == 200  # a person who opens it sees it
    sending(app, State.QUEUED)
    assert manager.get(first, htmx=True).status_code == 200
    second = link()
    told(Worker(name="server-2:9", host="server-2", pid=9, doing="waiting"))
    assert manager.get(second, htmx=True).status_code == 200


@pytest.mark.sqlite_only
def test_while_nothing_changes_the_page_asks_ever_more_rarely(
    app: Flask, manager: Visitor, told: Callable[..., None]
) -> None:
    told(a_worker())
    every, address = [], "/workers"
    for _ in range(9):
        region = BeautifulSoup(manager.get(address, htmx=address != "/workers").text, "html.parser")
        polls = region.select_one("#sending")
        assert polls
        every.append(str(polls["hx-trigger"]))
        known = str(polls["hx-get"])
        address = known.replace("seen=", "seen=long-ago")  # so that it is told anew
    assert (every[0], every[-1]) == ("every 2s", "every 30s")
    sending(app, State.HELD)
    assert 'hx-trigger="every 2s"' in manager.get(address, htmx=True).text
    assert manager.get("/workers?seen=x&still=-9", htmx=True).status_code == 200


# -- for machines ----------------------------------------------------------------------------------


@pytest.mark.sqlite_only
def test_a_process_says_that_it_answers_whatever_the_database_does(app: Flask) -> None:
    with app.app_context():
        db.session.execute(text("DROP TABLE alembic_version"))
        db.session.commit()
    stranger = app.test_client()
    assert stranger.get("/healthz").json == {"portal": "ok"}
    answer = stranger.get("/readyz")
    assert answer.status_code == 503
    assert answer.json and answer.json["reason"] == "The database does not answer."


def test_the_portal_is_ready_without_a_worker_and_while_everything_is_held(app: Flask) -> None:
    with app.app_context():
        instance.hold_all(olive())
    answer = app.test_client().get("/readyz")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert answer.json == {
        "ready": True,
        "database": "ok",
        "keys": "ok",
        "queue": "no_worker",
        "sending": "held",
    }


@pytest.mark.sqlite_only
def test_however_often_strangers_ask_redis_is_looked_at_once_in_two_seconds(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, clock, stranger = [], [1000.0], app.test_client()
    monkeypatch.setattr("portal.queueing.health", lambda: asked.append(clock[0]) or "ok")
    monkeypatch.setattr(readiness, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    for moment in (1000.0, 1000.0, 1001.9, 1002.1, 1003.0):
        clock[0] = moment
        assert stranger.get("/readyz").json["queue"] == "ok"  # type: ignore[index]
    assert asked == [1000.0, 1002.1]


@pytest.mark.sqlite_only
@pytest.mark.parametrize(
    ("settings", "asks", "status"),
    [
        ({}, {}, 200),
        ({}, {"headers": {"X-Forwarded-For": "127.0.0.1"}}, 403),
        ({}, {"environ_base": {"REMOTE_ADDR": "192.168.1.7"}}, 403),
        ({}, {"base_url": "http://portal.example"}, 403),
        ({"PUBLIC_URL": "https://portal.example"}, {}, 403),
        ({"PUBLIC_URL": "http://portal.example"}, {}, 403),
        ({"METRICS_TOKEN": "t" * 20}, {}, 401),
        ({"METRICS_TOKEN": "t" * 20}, {"headers": {"Authorization": "Bearer " + "u" * 20}}, 401),
        ({"METRICS_TOKEN": "t" * 20}, {"headers": {"Authorization": "Bearer " + "t" * 20}}, 200),
        ({"METRICS_TOKEN": "t" * 20}, {"headers": {"Authorization": "Bearer é"}}, 401),
    ],
)
def test_the_figures_are_for_who_has_the_token_or_is_on_this_machine(
    database: str, redis_url: str, settings: dict[str, str], asks: dict[str, object], status: int
) -> None:
    config = servers.config_of(DATABASE_URL=database, REDIS_URL=redis_url, **settings)
    with servers.inside(config) as app:
        answer = app.test_client().get("/metrics", **asks)  # type: ignore[arg-type]
        assert answer.status_code == status
        assert (b"sendwright_workers_alive" in answer.data) == (status == 200)
