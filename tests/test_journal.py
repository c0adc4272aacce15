"""The one writer outlives whatever goes wrong with what it writes: all threads wait for it."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.exc import TimeoutError

from portal import journal
from portal.extensions import db
from portal.people import company
from tests import factories

pytestmark = pytest.mark.sqlite_only


@pytest.fixture
def kept(app: Flask) -> Iterator[Flask]:
    with app.app_context():
        factories.bright_spark()
    with journal.kept(app):
        yield app


def written(app: Flask, work: Callable[[], Any]) -> Any:
    """What came of some words that a thread of their own handed in; "waits" for no answer."""
    answers: list[Any] = []

    def write() -> None:
        with app.app_context():
            try:
                answers.append(journal.write(work))
            except BaseException as problem:
                answers.append(problem)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    thread.join(20)
    return answers[0] if answers else "waits"


def rename(name: str) -> str:
    company().name = name
    db.session.flush()
    return name


def named(app: Flask) -> str:
    with app.app_context():
        return company().name


def test_a_connection_that_cannot_even_be_rolled_back_stops_nobody(
    kept: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any) -> None:
        raise RuntimeError("the connection is gone")

    def breaks() -> None:
        rename("Half a name")
        raise ValueError("a mistake in one's words")

    with monkeypatch.context() as patch:
        patch.setattr(db.session, "rollback", gone)
        assert isinstance(written(kept, breaks), ValueError)
    assert written(kept, lambda: rename("Bright Spark")) == "Bright Spark"
    assert named(kept) == "Bright Spark"


def test_who_was_not_stored_is_told_whatever_ended_it(kept: Flask) -> None:
    def ends() -> None:
        rename("Half a name")
        raise SystemExit

    assert isinstance(written(kept, ends), journal.NotStored)
    assert written(kept, lambda: rename("Bright Spark")) == "Bright Spark"
    assert named(kept) == "Bright Spark"


def test_a_store_whose_connections_are_all_taken_is_waited_for(kept: Flask) -> None:
    tries: list[int] = []

    def late() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise TimeoutError("all connections are taken")
        return rename("Bright Spark")

    assert written(kept, late) == "Bright Spark"
    assert named(kept) == "Bright Spark"
