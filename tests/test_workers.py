"""A worker says that it lives and what it does, and nothing ever depends on that."""

import logging
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import event, select, text
from sqlalchemy.exc import OperationalError

import worker
from portal import mailboxes, queueing, workers
from portal.columns import now
from portal.config import Config
from portal.extensions import db
from portal.workers import Worker
from tests import servers


@pytest.fixture
def app(config: Config, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    named = config.model_copy(update={"WORKER_NAME": "the-van"})
    monkeypatch.setattr(workers, "_mine", {})
    monkeypatch.setattr(workers, "_said", {})
    with servers.inside(named) as made:
        yield made


def stored() -> list[Worker]:
    query = select(Worker).order_by(Worker.name).execution_options(populate_existing=True)
    return list(db.session.scalars(query))


def somebody_else(host: str = "server-2", pid: int = 7, silent_for: float = 0) -> Worker:
    seen = now() - timedelta(seconds=silent_for)
    one = Worker(name=f"{host}:{pid}", host=host, pid=pid, doing="waiting", seen_at=seen)
    db.session.add(one)
    db.session.commit()
    return one


def pid_of_an_ended_process() -> int:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def test_a_worker_is_there_from_its_start_to_its_end(app: Flask) -> None:
    workers.begin()
    (one,) = workers.alive()
    assert (one.name, one.host, one.doing) == (f"the-van:{os.getpid()}", "the-van", "waiting")
    workers.beat("sending")
    assert [one.doing for one in workers.alive()] == ["sending"]
    workers.gone()
    assert workers.everyone() == []


def test_one_that_has_said_nothing_for_long_is_shown_as_ended_and_after_a_day_forgotten(
    app: Flask,
) -> None:
    somebody_else(silent_for=600)
    somebody_else("server-3", silent_for=25 * 3600)
    workers.begin()
    assert [(one.worker.host, one.alive) for one in workers.everyone()] == [
        ("the-van", True),
        ("server-2", False),
    ]


def test_started_again_after_a_crash_it_takes_the_place_of_the_one_that_crashed(app: Flask) -> None:
    somebody_else("the-van", pid_of_an_ended_process())
    somebody_else("the-van", os.getppid())  # another worker of this machine, which runs
    workers.begin()
    assert {one.pid for one in stored()} == {os.getpid(), os.getppid()}


def test_saying_the_same_again_costs_no_write_but_an_error_is_kept_at_once(app: Flask) -> None:
    workers.begin()
    stored()[0].seen_at = long_ago = now() - timedelta(hours=1)
    db.session.commit()
    workers.beat("waiting")
    assert stored()[0].seen_at == long_ago
    workers.beat("waiting", "Invalid To header: mary.lee@homes.example")
    (one,) = stored()
    assert one.seen_at > long_ago
    assert one.last_error == "Invalid To header: [address]"


def test_without_its_store_a_worker_works_on(app: Flask) -> None:
    workers.begin()
    db.session.execute(text("ALTER TABLE workers RENAME TO gone"))
    db.session.commit()
    workers.beat("sending", "something")
    workers.gone()
    assert db.session.scalar(text("SELECT count(*) FROM gone")) == 1


@pytest.mark.sqlite_only
def test_who_is_no_worker_says_nothing(app: Flask) -> None:
    workers.beat("sending", "something")
    workers.gone()
    assert stored() == []


@pytest.fixture
def hasty(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is looked for often, and says at once that it is locked."""
    monkeypatch.setattr(workers, "LOOK_AGAIN", 0.05)
    db.session.remove()
    db.engine.dispose()
    event.listen(db.engine, "connect", lambda one, _record: one.execute("PRAGMA busy_timeout=0"))


@pytest.fixture
def locked(config: Config) -> Iterator[sqlite3.Connection]:
    """Another process's hold on the SQLite file."""
    path = config.DATABASE_URL.removeprefix("sqlite:///")
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    yield other
    other.close()


@pytest.mark.sqlite_only
@pytest.mark.usefixtures("hasty")
def test_a_store_that_is_locked_at_the_start_is_waited_for_and_spoken_of_once(
    locked: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    free = threading.Timer(1, locked.rollback)
    free.start()
    with caplog.at_level(logging.WARNING):
        workers.wait_for_store(mailboxes.refuse_unreadable)
    assert free.finished.is_set(), "it did not wait for the store"
    assert caplog.messages == ["The database is locked or away, and waited for: database is locked"]


@pytest.mark.sqlite_only
@pytest.mark.usefixtures("hasty", "locked")
def test_a_store_that_stays_away_ends_the_start_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(workers, "PATIENCE", 0.0)
    with pytest.raises(OperationalError):
        workers.wait_for_store(mailboxes.refuse_unreadable)
    assert worker._refusal() == 1
    told = "The worker cannot start: the database does not answer: database is locked."
    assert capsys.readouterr().err.strip() == told


@pytest.mark.sqlite_only
def test_a_real_worker_says_so_itself_and_takes_its_leave(
    app: Flask, config: Config, redis_url: str, tmp_path: Path
) -> None:
    environ = servers.settings(
        DATABASE_URL=config.DATABASE_URL,
        REDIS_URL=redis_url,
        WORKER_NAME="server-2",
        SWEEP_SECONDS="1",
    )
    with servers.worker(environ, tmp_path / "worker.log") as child:
        servers.wait_for(lambda: queueing.health() == "ok", child)
        assert there() == [f"server-2:{child.process.pid}"]
        child.process.terminate()
        assert child.process.wait(20) == 0
    assert there() == []


def there() -> list[str]:
    found = [one.worker.name for one in workers.everyone()]
    db.session.rollback()  # else the worker would wait for the store
    return found
