"""The doorbell: rung it wakes a worker, broken it loses nothing, and a worker stops politely."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests
from flask import Flask
from redis import Redis
from rq import Queue, Worker
from sqlalchemy import func, select

from portal import queueing
from portal.children import session_members
from portal.config import Config
from portal.dispatch import Dispatch, State
from portal.extensions import db
from portal.parts import redis_options, redis_program
from tests import factories, servers

if TYPE_CHECKING:
    from portal.sandbox.server import SandboxServer

pytestmark = pytest.mark.sqlite_only
NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def environ(database: str, redis_url: str, local_google: "SandboxServer") -> dict[str, str]:
    return servers.settings(
        DATABASE_URL=database,
        REDIS_URL=redis_url,
        SWEEP_SECONDS="1",
        LEASE_SECONDS="30",
        **servers.pointed_at(local_google.url),
    )


@pytest.fixture
def app(environ: dict[str, str]) -> Iterator[Flask]:
    with servers.inside(Config.from_env(environ, dotenv=Path(os.devnull))) as made:
        yield made


def jobs(redis_url: str) -> int:
    return len(Queue(queueing.QUEUES[0], connection=Redis.from_url(redis_url)))


def point_at(app: Flask, monkeypatch: pytest.MonkeyPatch, redis_url: str) -> None:
    config: Config = app.config["PORTAL"]
    other = config.model_copy(update={"REDIS_URL": redis_url})
    monkeypatch.setitem(app.config, "PORTAL", other)


def test_rings_do_not_pile_up(app: Flask, redis_url: str) -> None:
    assert all(queueing.ring() for _ in range(20))
    assert jobs(redis_url) == 1


def test_a_batch_rings_for_every_worker_there_is(app: Flask, redis_url: str) -> None:
    assert queueing.ring_all() and jobs(redis_url) == 1  # somebody may come yet
    for name in ("one", "two", "three"):
        Worker(
            list(queueing.QUEUES), name=name, connection=Redis.from_url(redis_url)
        ).register_birth()
    assert queueing.ring_all() and queueing.ring_all()
    assert jobs(redis_url) == 3
    assert queueing.ring()
    assert jobs(redis_url) == 3


def test_what_lies_in_redis_tells_nothing(app: Flask, redis_url: str) -> None:
    queueing.ring()
    stored = Redis.from_url(redis_url)
    found = b"".join(stored.hgetall(name).get(b"data", b"") for name in stored.keys("rq:job:*"))
    assert found and b"brightspark" not in found


@pytest.mark.parametrize("address", [NOWHERE, "unix:///nowhere/redis.sock", ""])
def test_with_redis_away_a_ring_is_lost_without_harm(
    address: str, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_at(app, monkeypatch, address)
    assert not queueing.ring()
    assert queueing.health() == "no_redis"


def test_health_tells_a_missing_worker_from_a_missing_redis(app: Flask, redis_url: str) -> None:
    assert queueing.health() == "no_worker"
    Redis.from_url(redis_url).set(queueing.ALIVE_KEY, "1", ex=5)
    assert queueing.health() == "ok"


@pytest.mark.parametrize("whom", ["worker", "everyone"])
def test_asked_to_stop_a_worker_finishes_the_message_in_hand_and_takes_no_more(
    whom: str, app: Flask, environ: dict[str, str], local_google: "SandboxServer", tmp_path: Path
) -> None:
    slow = {"method": "drafts.send", "kind": "slow-answer", "delay": 1.0, "times": None}
    assert requests.post(f"{local_google.url}/_sandbox/faults", json=slow, timeout=5).ok
    factories.connected(local_google.url)
    invoice = factories.document()
    for number in range(1, 6):
        factories.asked(invoice, number=number)
    db.session.commit()
    with servers.worker(environ, tmp_path / "worker.log") as worker:
        until(lambda: in_state(State.SUBMITTING) == 1 and accepted(local_google) >= 1, 20)
        members = session_members(worker.process.pid)
        for pid in members if whom == "everyone" else [worker.process.pid]:
            os.kill(pid, signal.SIGTERM)
        worker.process.wait(15)
        assert worker.process.returncode == 0
        until(lambda: not session_members(worker.process.pid), 5)
    left = accepted(local_google)
    assert 1 <= left < 5
    assert in_state(State.ACCEPTED) == left
    assert in_state(State.QUEUED) == 5 - left


def test_a_worker_outlives_a_redis_that_is_restarted(
    app: Flask, environ: dict[str, str], local_google: "SandboxServer", tmp_path: Path
) -> None:
    factories.connected(local_google.url)
    with servers.short_directory("swredis-") as home:
        path = home / "redis.sock"
        own = environ | {"REDIS_URL": f"unix://{path}"}
        with redis_at(path, home), servers.worker(own, tmp_path / "worker.log") as worker:
            factories.asked()
            until(lambda: in_state(State.ACCEPTED) == 1, 20)
            os.kill(redis_pid(path), signal.SIGKILL)
            time.sleep(1.5)
            factories.asked()
            with redis_at(path, home):
                until(lambda: in_state(State.ACCEPTED) == 2, 20)
                assert not worker.has_ended()
                worker.process.terminate()
                assert worker.process.wait(10) == 0


def test_what_was_asked_while_redis_was_away_leaves_as_soon_as_it_is_back(
    app: Flask, environ: dict[str, str], local_google: "SandboxServer", tmp_path: Path
) -> None:
    factories.connected(local_google.url)
    db.session.commit()
    with servers.short_directory("swredis-") as home:
        path = home / "redis.sock"
        address = f"unix://{path}"
        own = environ | {"REDIS_URL": address, "SWEEP_SECONDS": "120"}
        with redis_at(path, home), servers.worker(own, tmp_path / "worker.log"):
            until(lambda: bool(Redis.from_url(address).exists(queueing.ALIVE_KEY)), 20)
            time.sleep(1)  # it has swept, and listens
            os.kill(redis_pid(path), signal.SIGKILL)
            factories.asked()
            time.sleep(3.5)
            with redis_at(path, home):
                until(lambda: in_state(State.ACCEPTED) == 1, 3)


def redis_at(path: Path, home: Path) -> "servers.contextlib.AbstractContextManager[object]":
    (home / "redis").mkdir(exist_ok=True)
    program, _ = redis_program()
    command = [program, *redis_options(path, home)]
    return started(command, path, home)


@servers.contextlib.contextmanager
def started(command: list[str], path: Path, home: Path) -> Iterator[None]:
    with servers.process("Redis", command, dict(os.environ), home / "redis.log") as child:
        servers.wait_for(lambda: servers.pings(f"unix://{path}"), child)
        yield


def redis_pid(path: Path) -> int:
    found: dict[str, int] = Redis.from_url(f"unix://{path}").info("server")  # type: ignore[assignment]
    return int(found["process_id"])


def accepted(google: "SandboxServer") -> int:
    found: int = requests.get(f"{google.url}/_sandbox/state", timeout=5).json()["accepted"]
    return found


def in_state(state: State) -> int:
    query = select(func.count()).select_from(Dispatch).where(Dispatch.state == state)
    found = db.session.scalar(query) or 0
    db.session.rollback()
    return found


def until(ready: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)
