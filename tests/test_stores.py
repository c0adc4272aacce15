"""How the stores are opened: nobody fails because somebody else writes; nothing is forgotten."""

import sqlite3
import threading
from collections.abc import Iterator

import pytest
from flask import Flask, request, url_for
from sqlalchemy import text

from portal import stores
from portal.extensions import db
from portal.stores import rows_changed
from portal.web.roads import ROADS


@pytest.fixture
def counter(app: Flask) -> Iterator[Flask]:
    """The portal with a counter to read and write, each with time for others in between."""
    app.config["WTF_CSRF_ENABLED"] = False

    @app.route("/counter", methods=["GET", "POST", "HEAD"])
    def counted() -> str:
        found = db.session.execute(text("SELECT value FROM counter")).scalar_one()
        if request.method == "POST":
            db.session.execute(text("UPDATE counter SET value = value + 1"))
            db.session.commit()
        return str(found)

    from portal.web import guard

    guard.OPEN.add("counted")
    with app.app_context():
        db.session.execute(text("CREATE TABLE counter (value INTEGER)"))
        db.session.execute(text("INSERT INTO counter VALUES (0)"))
        db.session.commit()
        db.session.remove()
    yield app
    guard.OPEN.discard("counted")


def value(app: Flask) -> int:
    with app.app_context():
        found: int = db.session.execute(text("SELECT value FROM counter")).scalar_one()
        db.session.remove()
        return found


def test_writers_that_read_first_wait_for_each_other(counter: Flask) -> None:
    codes: list[int] = []

    def press() -> None:
        client = counter.test_client()
        codes.extend(client.post("/counter").status_code for _ in range(8))

    threads = [threading.Thread(target=press) for _ in range(5)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
    assert codes == [200] * 40
    assert value(counter) == 40


@pytest.mark.sqlite_only
def test_a_reader_neither_waits_for_a_writer_nor_holds_one_up(
    counter: Flask, database: str
) -> None:
    other = sqlite3.connect(database.removeprefix("sqlite:///"), isolation_level=None, timeout=0.2)
    other.execute("BEGIN IMMEDIATE")
    client = counter.test_client()
    for method in ("get", "head"):
        assert getattr(client, method)("/counter").status_code == 200
    other.execute("UPDATE counter SET value = 7")
    assert client.get("/counter").text == "0"
    other.execute("COMMIT")
    with counter.test_request_context("/counter", method="GET"):
        assert db.session.execute(text("SELECT value FROM counter")).scalar_one() == 7
        other.execute("BEGIN IMMEDIATE")  # would be refused if the page had taken the lock
        other.execute("ROLLBACK")
        db.session.remove()
    with counter.test_request_context("/counter", method="POST"):
        db.session.execute(text("SELECT value FROM counter"))
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        db.session.remove()
    other.close()


@pytest.mark.sqlite_only
@pytest.mark.parametrize("kind", sorted(ROADS))
def test_the_answer_to_a_sign_in_has_the_lock_from_its_first_word(
    app: Flask, database: str, kind: str
) -> None:
    """It comes as a GET; a page that began to read would lose to whoever writes meanwhile."""
    other = sqlite3.connect(database.removeprefix("sqlite:///"), isolation_level=None, timeout=0.2)
    with app.test_request_context():
        path = url_for(ROADS[kind].back)
    with app.test_request_context(path, method="GET"):
        db.session.execute(text("SELECT 1 FROM mailboxes"))
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        db.session.remove()
    other.close()


@pytest.mark.sqlite_only
def test_sqlite_survives_a_power_cut_and_checks_its_references(app: Flask) -> None:
    with app.app_context():
        found = {
            name: db.session.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
        db.session.remove()
    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,  # FULL: what was committed before a message left stays committed
        "foreign_keys": 1,
        "busy_timeout": 30_000,
    }


def test_changed_rows_are_counted(counter: Flask) -> None:
    with counter.app_context():
        changed = db.session.execute(text("UPDATE counter SET value = 3 WHERE value = 0"))
        assert rows_changed(changed) == 1
        again = db.session.execute(text("UPDATE counter SET value = 3 WHERE value = 0"))
        assert rows_changed(again) == 0
        db.session.commit()
        db.session.remove()


def test_a_postgresql_that_vanishes_is_given_up_within_half_a_minute() -> None:
    """Its machine loses power: no word ever comes, and the writer of all threads must not wait."""
    asked = stores.engine_options("postgresql+psycopg://db.example/sendwright")["connect_args"]
    silent = asked["keepalives_idle"] + asked["keepalives_interval"] * asked["keepalives_count"]
    assert max(asked["connect_timeout"], silent, asked["tcp_user_timeout"] / 1000) <= 30
