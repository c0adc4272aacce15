"""A worker that is killed again and again, and a Redis that forgets everything, lose nothing.

The worker is a real process with a real work-horse. The judge is the local Google's own list of
accepted messages: as many as were asked for, none twice, and none left behind in the queue.
"""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests
from flask import Flask
from redis import Redis
from sqlalchemy import func, select

from portal.children import Child, session_members
from portal.config import Config
from portal.dispatch import Dispatch, State
from portal.envelope import DISPATCH_HEADER
from portal.extensions import db
from tests import factories, servers

if TYPE_CHECKING:
    from portal.sandbox.server import SandboxServer

DOCUMENTS = 200
KILLS = 10
LONGEST = 150


@pytest.fixture
def environ(database: str, redis_url: str, local_google: "SandboxServer") -> dict[str, str]:
    return servers.settings(
        DATABASE_URL=database,
        REDIS_URL=redis_url,
        PROVIDER_TIMEOUT="0.6",
        LEASE_SECONDS="3",
        SETTLE_GRACE="1",
        SWEEP_SECONDS="1",
        **servers.pointed_at(local_google.url),
    )


@pytest.fixture
def app(environ: dict[str, str]) -> Iterator[Flask]:
    with servers.inside(Config.from_env(environ, dotenv=Path(os.devnull))) as made:
        yield made


def test_ten_kills_and_a_flushed_redis_lose_and_double_nothing(
    app: Flask,
    environ: dict[str, str],
    local_google: "SandboxServer",
    redis_url: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    chance = random.Random(os.environ.get("CRASH_SEED", request.node.name))
    limits = {"units_per_minute": 0, "workspace_daily": 0}
    requests.post(f"{local_google.url}/_sandbox/settings", json=limits, timeout=5)
    # A little slowness, so that a kill finds a call on its way more often than not.
    slow = {"method": "drafts.*", "kind": "slow-answer", "delay": 0.02, "times": None}
    assert requests.post(f"{local_google.url}/_sandbox/faults", json=slow, timeout=5).ok
    factories.connected(local_google.url)
    tokens = {ask() for _ in range(DOCUMENTS)}

    killed = Counter[str]()
    with servers.worker(environ, tmp_path / "worker.log") as worker:
        for number in range(KILLS):
            until_some_more_left(worker, local_google.url, chance)
            killed[kill(worker, chance)] += 1
            if number == KILLS // 2:
                Redis.from_url(redis_url).flushall()
            if worker.has_ended():
                worker.process.wait()
                worker.start()
        states = wait_until_settled(LONGEST)

    accepted = Counter(
        one["headers"][DISPATCH_HEADER]
        for one in requests.get(f"{local_google.url}/_sandbox/accepted", timeout=30).json()
    )
    assert states == {State.ACCEPTED: DOCUMENTS}, (states, killed)
    assert [token for token, times in accepted.items() if times > 1] == [], killed
    assert set(accepted) == tokens


def ask() -> str:
    return factories.asked().token


def until_some_more_left(worker: Child, google: str, chance: random.Random) -> None:
    """Let the worker get on for a random while, some messages further."""
    before = count(google)
    deadline = time.monotonic() + 20
    wanted = chance.randint(3, 12)
    while count(google) < before + wanted and time.monotonic() < deadline:
        if count(google) >= DOCUMENTS:
            return
        time.sleep(0.01)
    time.sleep(chance.random() * 0.06)


def count(google: str) -> int:
    found: int = requests.get(f"{google}/_sandbox/state", timeout=5).json()["accepted"]
    return found


def kill(worker: Child, chance: random.Random) -> str:
    """SIGKILL to the worker, to its work-horse, or to both."""
    members = session_members(worker.process.pid)
    horses = [pid for pid in members if pid != worker.process.pid]
    which = chance.choice(["worker", "horse", "both"])
    aim = {"worker": [worker.process.pid], "horse": horses, "both": members}[which]
    for pid in aim:
        os.kill(pid, signal.SIGKILL)
    if which != "horse":
        worker.process.wait()
    return which


def wait_until_settled(seconds: float) -> dict[str, int]:
    deadline = time.monotonic() + seconds
    while True:
        query = select(Dispatch.state, func.count()).group_by(Dispatch.state)
        states = {str(state): int(number) for state, number in db.session.execute(query)}
        db.session.rollback()
        open_ = {State.QUEUED, State.SUBMITTING, State.UNKNOWN} & set(states)
        if not open_ or time.monotonic() > deadline:
            return states
        time.sleep(0.2)
