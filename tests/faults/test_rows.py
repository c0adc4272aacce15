"""Every row of the failure matrix that concerns Gmail and the stores, one after the other.

Each row is shown in one process, at the very place where it matters; tests/faults/__main__.py does
the same to real processes, a few thousand times. The judge is the local Google's own list.
docs/reliability.md holds the matrix, and says which rows belong to other providers.
"""

import contextlib
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from flask import Flask
from redis import Redis
from sqlalchemy import select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from portal import attempts, delivery, dispatch, evidence, failpoints, mailboxes, policy, queueing
from portal.accounts import User
from portal.columns import now
from portal.dispatch import Blocked, Dispatch, Proof, State
from portal.documents import Document, mail
from portal.envelope import DISPATCH_HEADER, Mailable
from portal.extensions import db
from portal.mailboxes import Health, Mailbox
from portal.providers.signing import Account, Grant
from portal.senders import Mode, SendFrom
from portal.vault import CannotOpen
from tests import factories, servers
from tests.factories import OFFICE

if TYPE_CHECKING:
    from portal.sandbox.server import SandboxServer


class Killed(BaseException):
    """Nothing catches it: as far as the code can tell, the process is gone."""


class Google:
    """The local Google, as these tests speak of it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def tell(self, noun: str, **body: Any) -> Any:
        answer = requests.post(f"{self.url}/_sandbox/{noun}", json=body, timeout=5)
        assert answer.ok, answer.text
        return answer.json()

    def fails(self, method: str, kind: str, **more: Any) -> None:
        self.tell("faults", method=method, kind=kind, **more)

    @property
    def accepted(self) -> list[str]:
        """The dispatch that each accepted message belongs to, by its token."""
        listed = requests.get(f"{self.url}/_sandbox/accepted", timeout=5).json()
        return [one["headers"][DISPATCH_HEADER] for one in listed]

    def calls(self, method: str) -> int:
        state = requests.get(f"{self.url}/_sandbox/state", timeout=5).json()
        return int(state["calls"].get(method, 0))

    def throw_drafts_away(self) -> None:
        state = requests.get(f"{self.url}/_sandbox/state", timeout=5).json()
        for one in state["drafts"]:
            requests.delete(f"{self.url}/_sandbox/drafts/{one['id']}", timeout=5)


@pytest.fixture
def google(local_google: "SandboxServer") -> Google:
    return Google(local_google.url)


@pytest.fixture
def app(database: str, redis_url: str, google: Google) -> Iterator[Flask]:
    with servers.sending(database, redis_url, google.url) as made:
        yield made


@pytest.fixture
def office(app: Flask, google: Google) -> Mailbox:
    """The company's mailbox: it may send as tom@ too."""
    return factories.connected(google.url)


At = Callable[[str, Callable[[], None]], None]


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> At:
    """Let something happen where a failpoint is reached for the first time."""
    deeds: dict[str, Callable[[], None]] = {}

    def met(name: str, _dispatch: int | None) -> None:
        if deed := deeds.pop(name, None):
            deed()

    monkeypatch.setattr(failpoints, "STEERED_BY", "these tests")
    monkeypatch.setattr(failpoints, "_ask", met)
    return deeds.__setitem__


def die() -> None:
    raise Killed


def send_and_die(one: Dispatch) -> None:
    """The process ends on the way; what it had not committed is gone, its lease runs out."""
    with pytest.raises(Killed):
        delivery.send(one.id)
    db.session.rollback()
    expire(one)


def expire(one: Dispatch) -> None:
    db.session.expire_all()
    one.lease_until = now() - timedelta(seconds=5)
    db.session.commit()


def work(rounds: int = 1) -> None:
    for _ in range(rounds):
        delivery.drain()
        db.session.expire_all()


def unpause() -> None:
    for box in mailboxes.all_mailboxes():
        box.paused_until = box.paced_until = None
    db.session.commit()


def together(app: Flask, *deeds: Callable[[], Any]) -> list[Any]:
    """Carry all out at the same moment, each as another process would; what each returned."""
    start, found = threading.Barrier(len(deeds)), list[Any]()

    def do(deed: Callable[[], Any]) -> None:
        with app.app_context():
            start.wait()
            found.append(deed())

    db.session.commit()
    threads = [threading.Thread(target=do, args=(one,)) for one in deeds]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
    assert len(found) == len(deeds)
    return found


def left_once(google: Google, *asked: Dispatch) -> bool:
    """Whether each was accepted, and only once; a busy machine may need another round for it."""
    for _ in range(3):
        db.session.expire_all()
        if all(one.state == State.ACCEPTED for one in asked):
            break
        unpause()
        work()
    states = {State(one.state) for one in asked}
    return states == {State.ACCEPTED} and sorted(google.accepted) == sorted(o.token for o in asked)


# Asking


def test_row_01_double_click_back_button_two_tabs(
    app: Flask, office: Mailbox, google: Google
) -> None:
    paper, tom = factories.document().id, factories.tom().id

    def press() -> int:
        document, user = db.session.get_one(Document, paper), db.session.get_one(User, tom)
        return dispatch.request(document, user, factories.wish()).id

    ids = set(together(app, press, press, press))
    assert len(ids) == 1
    work(2)
    assert left_once(google, db.session.get_one(Dispatch, ids.pop()))


def test_row_02_the_reply_to_the_commit_is_lost(
    office: Mailbox, google: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper, tom, commit = factories.document(), factories.tom(), db.session.commit
    lost: list[bool] = []

    def deaf() -> None:
        stored = any(isinstance(one, Dispatch) for one in db.session.identity_map.values())
        commit()
        if stored and not lost:
            lost.append(True)
            raise OperationalError("COMMIT", {}, Exception("server closed the connection"))

    monkeypatch.setattr(db.session, "commit", deaf)
    asked = dispatch.request(paper, tom, factories.wish())
    assert lost and dispatch.request(paper, tom, factories.wish()).id == asked.id
    work()
    assert left_once(google, asked)


def test_row_03_crash_after_the_commit_before_the_ring(
    office: Mailbox, google: Google, at: At
) -> None:
    at("request.committed", die)
    with pytest.raises(Killed):
        factories.asked()
    db.session.rollback()
    assert queueing.connection().dbsize() == 0  # nobody was woken
    work()
    assert left_once(google, db.session.scalars(select(Dispatch)).one())


def test_row_04_nobody_is_woken_before_the_row_is_there(
    app: Flask, office: Mailbox, google: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def ring() -> bool:
        seen.extend(together(app, lambda: len(db.session.scalars(select(Dispatch.id)).all())))
        return True

    monkeypatch.setattr(queueing, "ring", ring)
    factories.asked()
    assert seen == [1]
    delivery.send(4711)  # a ring for what is not there does nothing
    assert google.accepted == []


@pytest.mark.parametrize("how", ["down", "flushed"])
def test_row_05_redis_down_flushed_or_restarted(
    how: str, app: Flask, office: Mailbox, google: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = app.config["PORTAL"].model_copy(update={"REDIS_URL": "redis://127.0.0.1:1/0"})
    if how == "down":
        monkeypatch.setitem(app.config, "PORTAL", away)
    asked = factories.asked()
    if how == "flushed":
        queueing.connection().flushall()
    work()  # the worker rings for itself
    assert left_once(google, asked)


# Working


def test_row_06_two_workers_and_a_ring_that_came_twice(
    app: Flask, office: Mailbox, google: Google
) -> None:
    asked = [factories.asked() for _ in range(4)]
    together(app, *[delivery.sweep] * 2, *[lambda: delivery.drain_mailbox(1)] * 3)
    work(2)
    assert left_once(google, *asked)


def test_row_07_killed_after_the_claim(office: Mailbox, google: Google, at: At) -> None:
    asked = factories.asked()
    at("claim.committed", die)
    send_and_die(asked)
    assert asked.state == State.SUBMITTING and google.accepted == []
    work()
    assert left_once(google, asked)
    assert [one.outcome for one in asked.attempts] == ["worker ended", "accepted"]


@pytest.mark.parametrize("point", ["handover.committed", "send.answered", "result.written"])
def test_row_08_killed_while_submitting(
    point: str, office: Mailbox, google: Google, at: At
) -> None:
    asked = factories.asked()
    at(point, die)
    send_and_die(asked)
    work(3)
    assert left_once(google, asked)
    assert any("Settled" in one.text for one in asked.events)


@pytest.mark.parametrize("point", ["draft.made", "handover.committed"])
def test_row_09_an_orphan_wakes_up_after_its_lease(
    point: str, app: Flask, office: Mailbox, google: Google, at: At
) -> None:
    asked = factories.asked()
    id_ = asked.id

    def others_go_on() -> None:
        one = db.session.get_one(Dispatch, id_)
        one.lease_until = now() - timedelta(seconds=5)
        db.session.commit()
        for _ in range(3):
            delivery.drain()

    at(point, lambda: together(app, others_go_on))  # type: ignore[arg-type, return-value]
    delivery.send(asked.id)  # it slept at that point for longer than its lease, and goes on
    work(2)
    assert left_once(google, asked)


def test_row_10_two_workers_refresh_one_token(app: Flask, office: Mailbox, google: Google) -> None:
    google.tell("clock", advance=4000)
    factories.asked()
    before, id_ = google.calls("token"), office.id

    def look() -> int:
        return len(mailboxes.provider_for(db.session.get_one(Mailbox, id_)).addresses())

    assert len(set(together(app, look, look, look))) == 1
    assert google.calls("token") == before + 1


@pytest.mark.sqlite_only
def test_row_11_a_revoked_sign_in_pauses_the_mailbox_and_signing_in_resumes(
    office: Mailbox, google: Google
) -> None:
    asked = [factories.asked() for _ in range(3)]
    google.tell("revoke", email=OFFICE)
    work(2)
    assert {one.state for one in asked} == {State.HELD}
    assert sum(len(one.attempts) for one in asked) == 1  # not item by item
    factories.connected(google.url)
    work()
    assert left_once(google, *asked)


@pytest.mark.sqlite_only
@pytest.mark.parametrize("kind", ["swallow", "slow-answer"])
def test_row_12_the_answer_is_lost_or_late(kind: str, office: Mailbox, google: Google) -> None:
    google.fails("drafts.send", kind, delay=2.5)
    asked = factories.asked()
    work(2)
    time.sleep(0.7 if kind == "slow-answer" else 0)
    work()
    assert left_once(google, asked)
    assert [one.outcome for one in asked.attempts] == ["unknown"]


@pytest.mark.sqlite_only
@pytest.mark.parametrize("kind", ["500-before", "503-after"])
def test_row_13_an_error_of_gmails_own_is_unclear_and_looked_up(
    kind: str, office: Mailbox, google: Google
) -> None:
    google.fails("drafts.send", kind)
    asked = factories.asked()
    work(3)
    assert left_once(google, asked)
    assert asked.attempts[0].outcome == "unknown"


@pytest.mark.sqlite_only
@pytest.mark.parametrize("kind", ["429", "rate-limit-403"])
def test_row_14_a_limit_pauses_the_whole_mailbox(
    kind: str, office: Mailbox, google: Google
) -> None:
    google.fails("drafts.send", kind)
    asked = [factories.asked() for _ in range(3)]
    work(2)
    assert google.accepted == [] and google.calls("drafts.send") == 1  # no storm
    assert {one.state for one in asked} == {State.QUEUED}
    unpause()
    work()
    assert left_once(google, *asked)


def test_row_17_gmail_took_it_and_the_store_does_not(
    office: Mailbox, google: Google, at: At
) -> None:
    asked = factories.asked()

    def away() -> None:
        raise OperationalError("UPDATE", {}, Exception("server closed the connection"))

    at("result.written", away)
    delivery.send(asked.id)
    work()
    assert left_once(google, asked)
    assert [one.outcome for one in asked.attempts] == ["accepted"]


@pytest.mark.sqlite_only
def test_row_20_the_day_is_full_and_the_rest_waits(
    app: Flask, office: Mailbox, google: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {"GMAIL_DAILY_WORKSPACE": 2, "GMAIL_DAILY_CONSUMER": 2}
    monkeypatch.setitem(app.config, "PORTAL", app.config["PORTAL"].model_copy(update=small))
    asked = [factories.asked() for _ in range(4)]
    work(2)
    assert [one.state for one in asked].count(State.ACCEPTED) == 2
    assert [one.state for one in asked].count(State.QUEUED) == 2
    assert google.calls("drafts.send") == 2  # Gmail never had to say no
    box = db.session.get_one(Mailbox, office.id, populate_existing=True)
    assert box.paused_until is not None and box.paused_until > now() + timedelta(hours=23)


@pytest.mark.sqlite_only
def test_row_21_an_address_lost_on_the_way_is_never_replaced(
    office: Mailbox, google: Google
) -> None:
    policy.set_rule("", Mode.USER)
    first, second = factories.asked(), factories.asked()
    told = {"account": OFFICE, "email": "tom@brightspark.example"}
    requests.delete(f"{google.url}/_sandbox/aliases", json=told, timeout=5)
    work(2)  # the list was read a moment ago: Gmail takes one, and puts its own address in
    assert (first.proof, second.state) == (Proof.DIFFERS, State.HELD)
    assert google.accepted == [first.token]


@pytest.mark.sqlite_only
def test_row_22_signing_in_as_another_account_is_refused(office: Mailbox, google: Google) -> None:
    before = bytes(office.refresh_token or b"")
    stranger = Account("another", "mary@homes.example", "Mary", "")
    grant = Grant("access", "refresh", 3600, frozenset(mailboxes.google.SPELLINGS.values()))
    with pytest.raises(mailboxes.CannotConnect):
        mailboxes.connect(stranger, grant, owner=None, expected=office)
    db.session.rollback()
    assert bytes(office.refresh_token or b"") == before
    asked = factories.asked()
    work()
    assert left_once(google, asked)


def test_row_23_a_clock_set_back_holds_up_no_lease(office: Mailbox, google: Google) -> None:
    asked = factories.asked()
    assert attempts.claim(asked.id) is not None
    db.session.expire_all()
    box = db.session.get_one(Mailbox, office.id)
    asked.lease_until = box.drain_until = now() + timedelta(hours=1)  # before it was set back
    db.session.commit()
    work()
    assert left_once(google, asked)


def test_row_24_the_database_restarts_in_the_middle(
    store: str,
    database: str,
    office: Mailbox,
    google: Google,
    at: At,
    request: pytest.FixtureRequest,
) -> None:
    def restart() -> None:
        if store == "sqlite":
            hold_the_lock(database, 0.3)
            return
        server: servers.Postgres = request.getfixturevalue("postgres")
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
            "'sendwright_test'"
        )

    for point in ("claim.committed", "draft.made", "send.answered"):
        at(point, restart)
    asked = [factories.asked() for _ in range(3)]
    for _ in range(3):
        with contextlib.suppress(OperationalError):
            work()
        db.session.rollback()
        for one in asked:
            if one.state == State.SUBMITTING:
                expire(one)
    assert left_once(google, *asked)


def hold_the_lock(database: str, seconds: float) -> None:
    other = sqlite3.connect(
        database.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False
    )
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(seconds, lambda: (other.execute("ROLLBACK"), other.close())).start()


def test_row_25_a_copied_database_sends_nothing(
    store: str,
    database: str,
    redis_url: str,
    google: Google,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    with servers.sending(database, redis_url, google.url):
        factories.connected(google.url)
        factories.asked()
        work()
        factories.asked()
    with (
        copied(store, database, tmp_path, request) as copy,
        servers.sending(copy, redis_url, google.url),
    ):
        work(2)
        states = list(db.session.scalars(select(Dispatch.state).order_by(Dispatch.id)))
    assert states == [State.ACCEPTED, State.QUEUED]
    assert len(google.accepted) == 1
    with servers.sending(database, redis_url, google.url):
        work()
        assert left_once(google, *db.session.scalars(select(Dispatch)))


@contextlib.contextmanager
def copied(
    store: str, database: str, folder: Path, request: pytest.FixtureRequest
) -> Iterator[str]:
    if store == "sqlite":
        path = shutil.copy(database.removeprefix("sqlite:///"), folder / "copy.sqlite3")
        yield f"sqlite:///{path}"
        return
    server: servers.Postgres = request.getfixturevalue("postgres")
    name = make_url(database).database
    assert name is not None
    with server.database(f"{name}_copy", name) as address:
        yield address


def test_row_26_a_document_edited_after_the_click_leaves_as_it_was(
    office: Mailbox, google: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper = factories.document()
    asked = factories.asked(paper)
    before = bytes(asked.mime)
    paper.title, paper.version = "Something else", paper.version + 1
    db.session.commit()
    monkeypatch.setattr(mail, "paper", lambda *_: pytest.fail("it is drawn once"))
    work()
    assert left_once(google, asked)
    assert bytes(asked.mime) == before
    assert attempts.load(asked.id).envelope().sha256 == asked.mime_sha256


@pytest.mark.sqlite_only
def test_row_27_a_draft_that_its_owner_threw_away_goes_to_a_person(
    office: Mailbox, google: Google, at: At
) -> None:
    asked = factories.asked()
    at("handover.committed", google.throw_drafts_away)
    delivery.send(asked.id)
    for _ in range(evidence.SETTLE_TRIES + 1):
        expire_wait(asked)
        work()
    assert asked.state == State.UNKNOWN and asked.needs_person
    assert google.accepted == []  # never sent again on a guess


def expire_wait(one: Dispatch) -> None:
    db.session.expire_all()
    if one.settle_after is not None:
        one.settle_after = now() - timedelta(seconds=1)
    db.session.commit()


# Around it


def test_row_31_a_message_that_ends_every_worker_is_not_tried_for_ever(
    office: Mailbox, google: Google
) -> None:
    asked = factories.asked()
    for _ in range(attempts.MOST_ENDINGS + 1):
        assert attempts.claim(asked.id) is not None
        expire(asked)
        attempts.recover_stale()
    db.session.expire_all()
    assert asked.state == State.REFUSED
    work()
    assert google.accepted == []


def test_row_32_asked_to_stop_it_finishes_the_message_in_hand(
    office: Mailbox, google: Google, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queueing, "stopping", threading.Event())
    first, second = factories.asked(), factories.asked()
    at("handover.committed", queueing.stopping.set)
    work(2)
    assert (first.state, second.state) == (State.ACCEPTED, State.QUEUED)
    queueing.stopping.clear()
    work()
    assert left_once(google, first, second)


def test_row_33_two_schedulers_have_the_same_thought_once(
    app: Flask, office: Mailbox, google: Google
) -> None:
    box_id = office.id
    factories.bright_spark()

    def think() -> int:
        through = SendFrom(OFFICE, "", box_id, OFFICE, None, "accepted", is_primary=True)
        olive = Mailable("olive@brightspark.example", "Olive Park")
        return dispatch.notice("the same thought", olive, "Mail waits", "Look.", through).id

    assert len(set(together(app, think, think, think))) == 1
    work()
    assert len(google.accepted) == 1


def test_row_34_a_full_disk_accepts_nothing_by_half(
    office: Mailbox, google: Google, at: At
) -> None:
    def full() -> None:
        raise OperationalError("INSERT", {}, Exception("database or disk is full"))

    paper = factories.document()
    at("request.stored", full)
    with pytest.raises(OperationalError):
        factories.asked(paper)
    db.session.rollback()
    assert db.session.scalars(select(Dispatch)).all() == []
    asked = factories.asked(paper)
    work()
    assert left_once(google, asked)


def test_row_34_a_redis_without_memory_keeps_nobody_from_asking(
    redis_url: str, office: Mailbox, google: Google
) -> None:
    redis = Redis.from_url(redis_url)
    redis.config_set("maxmemory", "1")
    try:
        asked = factories.asked()
        assert not queueing.ring()
        work()
    finally:
        redis.config_set("maxmemory", "0")
    assert left_once(google, asked)


@pytest.mark.sqlite_only
def test_row_35_a_client_secret_that_ended_is_no_mass_revocation(
    office: Mailbox, google: Google
) -> None:
    google.tell("clock", advance=4000)
    google.fails("token", "refuse", reason="invalid_client", code=401, times=None)
    asked = factories.asked()
    work()
    box = db.session.get_one(Mailbox, office.id, populate_existing=True)
    assert asked.state == State.QUEUED and "client id or secret" in asked.state_note
    assert box.health == Health.CONNECTED and box.refresh_token is not None
    requests.delete(f"{google.url}/_sandbox/faults", timeout=5)
    unpause()
    work()
    assert left_once(google, asked)


@pytest.mark.sqlite_only
def test_row_36_without_its_key_the_worker_refuses_and_keeps_the_tokens(
    app: Flask, office: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = bytes(office.refresh_token or b"")
    db.session.commit()
    other = app.config["PORTAL"].model_copy(update={"TOKEN_KEYS": {"other": bytes(32)}})
    with servers.inside(other), pytest.raises(CannotOpen):
        mailboxes.refuse_unreadable()
    db.session.expire_all()
    assert before and bytes(office.refresh_token or b"") == before


@pytest.mark.sqlite_only
def test_row_37_a_mailbox_taken_away_in_the_middle_sends_nothing_more(
    office: Mailbox, google: Google
) -> None:
    asked = [factories.asked() for _ in range(2)]
    delivery.send(asked[0].id)
    mailboxes.disconnect(db.session.get_one(Mailbox, office.id))
    work(2)
    assert [one.state for one in asked] == [State.ACCEPTED, State.HELD]
    assert google.accepted == [asked[0].token]


@pytest.mark.sqlite_only
def test_row_38_what_is_too_large_is_refused_before_it_is_accepted(
    office: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    from portal.dispatch import freezing

    monkeypatch.setattr(freezing, "LARGEST_MESSAGE", 1000)
    with pytest.raises(Blocked, match="one e-mail takes"):
        factories.asked()
    db.session.rollback()
    assert db.session.scalars(select(Dispatch)).all() == []


@pytest.mark.sqlite_only
def test_row_39_the_same_address_twice_receives_one(office: Mailbox, google: Google) -> None:
    asked = factories.asked(to="Mary.Lee@homes.example", cc=("mary.lee@HOMES.example",))
    assert (asked.to, asked.cc) == (["Mary.Lee@homes.example"], [])
    work()
    assert left_once(google, asked)


def test_row_40_two_look_at_one_unclear_outcome(
    app: Flask, office: Mailbox, google: Google
) -> None:
    google.fails("drafts.send", "swallow-before")
    asked = factories.asked()
    delivery.send(asked.id)
    id_ = asked.id
    together(app, *[lambda: evidence.reconcile(id_)] * 3)
    work()
    assert left_once(google, asked)
    assert sum("Settled" in one.text for one in asked.events) == 1
