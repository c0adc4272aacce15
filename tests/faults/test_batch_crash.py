"""A worker that is killed while it freezes and sends a batch loses no invoice and sends none twice.

The worker is a real process with a real work-horse; the judge is the local Google's own list of
accepted messages.
"""

import os
import random
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
import requests
from flask import Flask
from sqlalchemy import func, select

from portal import batches
from portal.batches import Batch, BatchItem, ItemState
from portal.children import Child
from portal.dispatch import Dispatch, State
from portal.documents import Document
from portal.envelope import DISPATCH_HEADER
from portal.extensions import db
from tests import factories, servers
from tests.faults.test_crash import app, count, environ, kill, wait_until_settled

if TYPE_CHECKING:
    from pathlib import Path

    from portal.sandbox.server import SandboxServer

__all__ = ["app", "environ"]  # the fixtures are that other test's

DOCUMENTS = 80
KILLS = 5
LONGEST = 120


def test_five_kills_in_the_middle_of_a_batch_lose_and_double_nothing(
    app: Flask,
    environ: dict[str, str],
    local_google: "SandboxServer",
    tmp_path: "Path",
    request: pytest.FixtureRequest,
) -> None:
    chance = random.Random(os.environ.get("CRASH_SEED", request.node.name))
    limits = {"units_per_minute": 0, "workspace_daily": 0}
    requests.post(f"{local_google.url}/_sandbox/settings", json=limits, timeout=5)
    factories.connected(local_google.url)
    batch = completed_batch()
    killed = Counter[str]()
    with servers.worker(environ, tmp_path / "worker.log") as worker:
        for _ in range(KILLS):
            some_more_frozen(worker, batch, chance)
            killed[kill(worker, chance)] += 1
            if worker.has_ended():
                worker.process.wait()
                worker.start()
        wait_until_frozen(batch)
        states = wait_until_settled(LONGEST)
    accepted = Counter(
        one["headers"][DISPATCH_HEADER]
        for one in requests.get(f"{local_google.url}/_sandbox/accepted", timeout=30).json()
    )
    assert states == {State.ACCEPTED: DOCUMENTS}, (states, killed)
    assert count(local_google.url) == DOCUMENTS
    assert set(accepted.values()) == {1}, killed
    assert set(accepted) == set(db.session.scalars(select(Dispatch.token)))
    assert batches.results(batch).counts == {State.ACCEPTED: DOCUMENTS}


def completed_batch() -> Batch:
    olive = factories.olive()
    for _ in range(DOCUMENTS):
        factories.document()
    batch = batches.make("Month end", olive)
    batches.fill(batch, select(Document.id), olive)
    assert batches.check(batch, olive).finished
    batches.complete(batch, olive, batch.version)
    return batch


def frozen(batch: Batch) -> int:
    query = select(func.count()).where(
        BatchItem.batch_id == batch.id, BatchItem.state != ItemState.PENDING
    )
    found = db.session.scalar(query) or 0
    db.session.rollback()
    return found


def some_more_frozen(worker: Child, batch: Batch, chance: random.Random) -> None:
    """Let the worker get on for a random while."""
    wanted = min(DOCUMENTS, frozen(batch) + chance.randint(1, 9))
    deadline = time.monotonic() + 20
    while frozen(batch) < wanted and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(chance.random() * 0.05)


def wait_until_frozen(batch: Batch) -> None:
    deadline = time.monotonic() + LONGEST
    while frozen(batch) < DOCUMENTS:
        assert time.monotonic() < deadline, f"{frozen(batch)} of {DOCUMENTS} are frozen"
        time.sleep(0.1)
