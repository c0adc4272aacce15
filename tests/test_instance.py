"""A database that is not where it was confirmed sends nothing, and one that is never cries wolf."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from flask import Flask
from redis import Redis
from sqlalchemy import select, text
from sqlalchemy.engine import make_url

from portal import home, instance
from portal.dispatch import Attempt, Dispatch, State
from portal.extensions import db
from portal.instance import Instance
from tests import factories, servers

if TYPE_CHECKING:
    from portal.sandbox.server import SandboxServer

PORTAL = "https://mail.brightspark.example"


@contextmanager
def worker_on(database: str, redis_url: str, address: str = PORTAL) -> Iterator[Flask]:
    """A worker that has just been started."""
    config = servers.config_of(DATABASE_URL=database, REDIS_URL=redis_url, PUBLIC_URL=address)
    with servers.inside(config) as app:
        yield app


def stopped() -> str:
    """Why nothing leaves; nothing where it may."""
    db.session.rollback()
    return db.session.scalar(select(Instance.stopped_why)) or ""


def hand_over() -> int:
    """An attempt at a sending, handed over and seen by the witness; its number."""
    one = db.session.scalar(select(Dispatch))
    if one is None:
        factories.office_mailbox()
        one = factories.asked()
    count = len(db.session.scalars(select(Attempt)).all())
    attempt = Attempt(dispatch_id=one.id, number=count + 1, worker="the worker")
    db.session.add(attempt)
    db.session.commit()
    instance.witness(attempt.id)
    return attempt.id


# No false alarm


def test_an_ordinary_life_never_stops_anything(database: str, redis_url: str) -> None:
    with worker_on(database, redis_url):
        assert instance.may_work()
        hand_over()
        key = db.session.scalar(select(Instance.key))
    with worker_on(database, redis_url):  # started anew, on a Redis that has lost everything
        Redis.from_url(redis_url).flushall()
        assert instance.may_work() and instance.may_work()
        vacuum(database)
        db.engine.dispose()
        assert instance.may_work()
        hand_over()
        assert instance.may_work() and instance.may_send()
        assert db.session.scalar(select(Instance.key)) == key
    with worker_on(database, "redis://127.0.0.1:1/0"):  # and on one that is away
        assert instance.may_work()
        hand_over()
        assert instance.may_work() and not stopped()


def test_a_portal_of_this_machine_alone_may_change_its_port_and_be_given_a_name(
    database: str, redis_url: str
) -> None:
    for address in ("http://127.0.0.1:8000", "http://localhost:8001", PORTAL, "http://127.0.0.1:9"):
        with worker_on(database, redis_url, address):
            assert instance.may_work(), address


def test_a_worker_on_a_second_machine_needs_no_address_of_its_own(
    database: str, redis_url: str
) -> None:
    with worker_on(database, redis_url):
        assert instance.may_work()
    with worker_on(database, redis_url, "http://127.0.0.1:8000"):
        assert instance.may_work()
        kept = db.session.scalar(select(Instance.home)) or {}
        assert kept["address"] == "mail.brightspark.example"


def vacuum(database: str) -> None:
    if database.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(file_of(database))) as file:
            file.execute("VACUUM")
    else:
        with psycopg.connect(database, autocommit=True) as server:
            server.execute("VACUUM FULL")


# A copy


def test_a_copy_under_another_address_sends_nothing(database: str, redis_url: str) -> None:
    with worker_on(database, redis_url):
        assert instance.may_work()
    with worker_on(database, redis_url, "https://trial.brightspark.example"):
        assert not instance.may_work()
        assert not instance.may_send()
        assert stopped() == home.MEANINGS["address"]


def file_of(database: str) -> Path:
    return Path(make_url(database).database or "")


@pytest.mark.sqlite_only
@pytest.mark.parametrize("how", ["copied elsewhere", "put in its place"])
def test_a_copied_file_sends_nothing(
    how: str, database: str, redis_url: str, tmp_path: Path
) -> None:
    with worker_on(database, redis_url):
        assert instance.may_work()
    copy = tmp_path / "copy.sqlite3"
    shutil.copy(file_of(database), copy)
    if how == "put in its place":
        os.replace(copy, file_of(database))
        copy = file_of(database)
    with worker_on(f"sqlite:///{copy}", redis_url):
        assert not instance.may_work()
        assert stopped() == home.MEANINGS["inode"]


@pytest.mark.sqlite_only
@pytest.mark.parametrize("witness", ["Redis", "the file beside it"])
def test_a_backup_written_over_the_file_is_found_out_by_who_saw_a_later_mail(
    witness: str, database: str, redis_url: str
) -> None:
    path = file_of(database)
    with worker_on(database, redis_url):
        assert instance.may_work()
        hand_over()
    backup = path.read_bytes()
    with worker_on(database, redis_url):
        hand_over()
    path.write_bytes(backup)  # the same file by its number, with the rows of before
    for leftover in (f"{path}-wal", f"{path}-shm"):
        Path(leftover).unlink(missing_ok=True)
    if witness == "Redis":
        Path(f"{path}.witness").unlink()
    else:
        Redis.from_url(redis_url).flushall()
    with worker_on(database, redis_url):
        assert not instance.may_work()
        assert stopped() == instance.WENT_BACK


def test_rows_that_vanish_under_a_running_worker_stop_it_at_once(
    database: str, redis_url: str
) -> None:
    with worker_on(database, redis_url) as app:
        assert instance.may_work()
        last = hand_over()
        Redis.from_url(redis_url).flushall()
        db.session.execute(text("DELETE FROM attempts WHERE id = :last"), {"last": last})
        db.session.commit()
        assert app.config["PORTAL"].SWEEP_SECONDS >= 1  # not the next sweep: the next look
        assert not instance.may_work()
        assert stopped() == instance.WENT_BACK


def test_a_database_copied_by_the_server_sends_nothing(
    postgres: servers.Postgres, postgres_template: str, redis_url: str
) -> None:
    with postgres.database("sendwright_shop", postgres_template) as original:
        with worker_on(original, redis_url):
            assert instance.may_work()
        with (
            postgres.database("sendwright_copy", "sendwright_shop") as copy,
            worker_on(copy, redis_url),
        ):
            assert not instance.may_work()
            assert stopped() == home.MEANINGS["database"]


def test_a_database_restored_from_a_dump_sends_nothing(
    postgres: servers.Postgres, postgres_template: str, redis_url: str, tmp_path: Path
) -> None:
    programs = program_folder(postgres)
    dump = tmp_path / "sendwright.dump"
    with (
        postgres.database("sendwright_shop", postgres_template) as address,
        worker_on(address, redis_url),
    ):
        assert instance.may_work()
        run(programs / "pg_dump", "--format=custom", f"--file={dump}", address)
        db.session.remove()
        run(programs / "pg_restore", "--clean", f"--dbname={address}", dump)
        assert not instance.may_work()  # the worker that was running all the while
        assert stopped() == home.MEANINGS["table"]


def program_folder(postgres: servers.Postgres) -> Path:
    with psycopg.connect(postgres.address("postgres")) as connection:
        row = connection.execute("SELECT setting FROM pg_config WHERE name = 'BINDIR'").fetchone()
    assert row
    return Path(row[0])


def run(*command: object, user: int | None = None) -> None:
    words = [str(one) for one in command]
    user = None if user == os.getuid() else user
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, timeout=60, user=user)


def test_a_server_restored_to_a_point_in_time_sends_nothing_and_one_started_anew_goes_on(
    redis_url: str,
) -> None:
    with servers.postgres() as own, own.database("sendwright_shop") as address:
        servers.migrate(address)
        with worker_on(address, redis_url):
            assert instance.may_work()
            kept = db.session.scalar(select(Instance.home)) or {}
            db.session.remove()
            start_anew(own)
            assert instance.may_work(), "a plain restart is no restore"
            db.session.remove()
            own.execute("ALTER SYSTEM SET restore_command = 'false'")
            start_anew(own, "recovery.signal")  # from its log, as after a restored base backup
            assert not instance.may_work()  # its connection was cut, so it looks at once
            await_the_end_of_recovery(own)
            assert not instance.may_work()
            assert stopped() == home.MEANINGS["line"]
            assert {**home.read(PORTAL), "line": kept["line"]} == kept, "all else is as it was"


def test_while_a_server_plays_its_log_back_nothing_counts_as_a_look(redis_url: str) -> None:
    with servers.postgres() as own, own.database("sendwright_shop") as address:
        servers.migrate(address)
        with worker_on(address, redis_url):
            assert instance.may_work()
            db.session.remove()
            start_anew(own, "standby.signal")  # it may be read, until somebody lets it go on
            assert not instance.may_work() and not stopped()
            own.execute("SELECT pg_promote()")  # on the connection that is there already
            assert not instance.may_work()
            assert stopped() == home.MEANINGS["line"]


def await_the_end_of_recovery(server: servers.Postgres) -> None:
    with psycopg.connect(server.address("postgres"), autocommit=True) as connection:
        for _ in range(600):
            if connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,):
                return
            time.sleep(0.05)
    raise AssertionError("it still plays its log back")


def start_anew(server: servers.Postgres, *files: str) -> None:
    """Start it anew; files: made in its folder beforehand."""
    programs = program_folder(server)
    with psycopg.connect(server.address("postgres")) as connection:
        row = connection.execute("SHOW data_directory").fetchone()
    assert row
    folder = Path(row[0])
    owner = folder.stat()  # PostgreSQL refuses to be run by root
    for name in files:
        (folder / name).touch()
        os.chown(folder / name, owner.st_uid, owner.st_gid)
    restart = (programs / "pg_ctl", "restart", "-w", "-m", "fast", "-D", folder, "-l", "/dev/null")
    run(*restart, user=owner.st_uid)


# What the store says of itself


def test_an_ordinary_role_of_postgresql_may_read_enough(
    postgres: servers.Postgres, postgres_template: str, redis_url: str
) -> None:
    with postgres.database("sendwright_shop", postgres_template) as address:
        postgres.execute("DROP ROLE IF EXISTS plain")
        postgres.execute("CREATE ROLE plain LOGIN")
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO plain")
        plain = make_url(address).set(username="plain").render_as_string(hide_password=False)
        with worker_on(address, redis_url):
            whole = home.read(PORTAL)
            assert set(whole) == {"server", "line", "database", "table", "address"}
            assert instance.may_work()
        with worker_on(plain, redis_url):
            assert {"database", "table", "address"} <= home.read(PORTAL).keys()
            assert instance.may_work()


def test_what_one_of_two_leaves_out_is_not_compared() -> None:
    kept = {"server": "7", "line": "00000001", "database": "5", "table": "16384"}
    assert home.difference(kept, {"database": "5", "table": "16384"}) == ""
    assert home.difference(kept, {**kept, "line": "00000002"}) == home.MEANINGS["line"]
    assert (
        home.difference({"table": "16384"}, {**kept, "table": "16999"}) == (home.MEANINGS["table"])
    )


# What a stop means


def test_a_stopped_store_takes_requests_and_sends_none(
    database: str, redis_url: str, local_google: "SandboxServer"
) -> None:
    from portal import delivery

    config = servers.config_of(
        DATABASE_URL=database, REDIS_URL=redis_url, **servers.pointed_at(local_google.url)
    )
    with servers.inside(config):
        factories.connected(local_google.url)
        assert instance.may_work()
        instance._stop("It was restored.", {}, {})
        asked = factories.asked()
        delivery.drain()
        db.session.expire_all()
        assert (asked.state, asked.attempt) == (State.QUEUED, 0)
        assert local_google.google.store.value("SELECT count(*) FROM accepted") == 0
