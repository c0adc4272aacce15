"""What every test may ask for: real stores, a portal on them, a browser, and no way out.

Servers live for the whole run; what is in them lives for one test.
"""

import gc
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from argon2 import PasswordHasher
from redis import Redis

from portal.config import Config
from tests import servers
from tools import chromium

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient

    from portal.sandbox.letterbox import Letterbox
    from portal.sandbox.microsoft import MicrosoftServer
    from portal.sandbox.post import Post
    from portal.sandbox.server import SandboxServer

STORES = ("sqlite", "postgresql")
LOOPBACK = ("127.", "::1", "localhost")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "sqlite_only: its subject does not depend on the store")
    # Asked to end, leave by the door, so that every server is stopped on the way.
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("asked to end", returncode=143))
    # No example is wrong because the machine is busy.
    hypothesis.settings.register_profile("patient", deadline=None)
    hypothesis.settings.load_profile("patient")


def pytest_collection_finish() -> None:
    """What is there by now stays: nobody looks through it for rubbish after every few tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that reaches a database runs on each of the two, unless it says otherwise."""
    if "store" in metafunc.fixturenames:
        only = metafunc.definition.get_closest_marker("sqlite_only")
        metafunc.parametrize("store", STORES[:1] if only else STORES)


@pytest.fixture(scope="session", autouse=True)
def no_way_out() -> Iterator[None]:
    """A test that talks to anything but this machine fails."""
    connect, lookup = socket.socket.connect, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and not str(address[0]).startswith(LOOPBACK):
            raise AssertionError(f"a test tried to reach {address}")
        connect(self, address)

    def guarded_lookup(host: Any, *rest: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name and not name.startswith((*LOOPBACK, "0.0.0.0")):
            raise AssertionError(f"a test tried to look up {name}")
        return lookup(host, *rest, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket, "getaddrinfo", guarded_lookup)
        yield


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Iterator[None]:
    """Hashing is slow on purpose; most tests only need somebody to be there."""
    with pytest.MonkeyPatch.context() as patch:
        quick = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
        patch.setattr("portal.accounts._hasher", quick)
        yield


@pytest.fixture(scope="session", autouse=True)
def templates_compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Each test makes a portal of its own; their pages' templates are compiled for the first."""
    from flask import Flask
    from jinja2 import FileSystemBytecodeCache

    kept = FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Flask, "jinja_options", {"bytecode_cache": kept})
        yield


@pytest.fixture(scope="session", autouse=True)
def routes_compiled_once() -> Iterator[None]:
    """As the templates: an address that was taken apart for one portal is so for the next."""
    from werkzeug.routing import Rule

    kept: dict[tuple[object, ...], Rule] = {}
    compiling = Rule.compile

    def compile_once(rule: Rule) -> None:
        key = (rule.rule, str(rule.defaults), rule.subdomain, rule.merge_slashes)
        known = kept.setdefault(key, rule)
        if known is rule:
            compiling(rule)
            return
        rule.arguments |= known.arguments
        rule._parts, rule._trace = known._parts, known._trace
        rule._converters = known._converters
        rule._build = known._build.__func__.__get__(rule)  # type: ignore[attr-defined]
        rule._build_unknown = known._build_unknown.__func__.__get__(rule)  # type: ignore[attr-defined]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "compile", compile_once)
        yield


@pytest.fixture(scope="session", autouse=True)
def statements_compiled_once() -> Iterator[None]:
    """As in a portal that runs for months: a statement is compiled for the first who asks."""
    from flask_sqlalchemy import SQLAlchemy
    from sqlalchemy import Engine

    kept: dict[str, Engine] = {}
    making = SQLAlchemy._make_engine

    def make_engine(self: SQLAlchemy, *given: Any) -> Engine:
        engine = making(self, *given)
        known = kept.setdefault(engine.dialect.name, engine)
        engine.dialect = engine.pool._dialect = known.dialect
        engine._compiled_cache = known._compiled_cache
        return engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SQLAlchemy, "_make_engine", make_engine)
        yield


# Stores


@pytest.fixture(scope="session")
def postgres() -> Iterator[servers.Postgres]:
    with servers.postgres() as running:
        yield running


@pytest.fixture(scope="session")
def postgres_template(postgres: servers.Postgres) -> Iterator[str]:
    """The name of a migrated, empty database to copy."""
    name = "sendwright_template"
    with postgres.database(name) as address:
        servers.migrate(address)
        yield name


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty database file to copy."""
    path = tmp_path_factory.mktemp("template") / "sendwright.sqlite3"
    servers.migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def database(store: str, request: pytest.FixtureRequest) -> str:
    """The address of a database with tables and nothing in them, for this test alone."""
    if store == "postgresql":
        template: str = request.getfixturevalue("postgres_template")
        server: servers.Postgres = request.getfixturevalue("postgres")
        return server.as_new("sendwright_test", template)
    empty: Path = request.getfixturevalue("sqlite_template")
    folder: Path = request.getfixturevalue("tmp_path")
    copy = folder / "sendwright.sqlite3"
    copy.write_bytes(empty.read_bytes())
    return f"sqlite:///{copy}"


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    with servers.redis_server() as address:
        yield address


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The address of an empty Redis."""
    Redis.from_url(redis_server).flushall()
    return redis_server


# The portal


@pytest.fixture
def config(database: str, redis_url: str) -> Config:
    return servers.config_of(DATABASE_URL=database, REDIS_URL=redis_url)


@pytest.fixture
def app(config: Config) -> Iterator["Flask"]:
    """The portal on empty stores. No context is pushed: each request brings its own."""
    from portal.extensions import db

    made = servers.make_app(config)
    yield made
    with made.app_context():
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def client(app: "Flask") -> "FlaskClient":
    return app.test_client()


@pytest.fixture(scope="session")
def running_google() -> Iterator["SandboxServer"]:
    from portal.sandbox.server import SandboxServer

    with SandboxServer() as running:
        yield running


@pytest.fixture
def local_google(running_google: "SandboxServer") -> "SandboxServer":
    """A local Google with its seed accounts and nothing else: as new."""
    from portal.sandbox.settings import SandboxSettings

    fresh = SandboxSettings()
    running_google.google.settings.domains = fresh.domains
    running_google.google.settings.steer(fresh.steerable())
    running_google.google.reset()
    return running_google


@pytest.fixture(scope="session")
def microsoft_of_all() -> Iterator["MicrosoftServer"]:
    from portal.sandbox.microsoft import MicrosoftServer

    with MicrosoftServer() as running:
        yield running


@pytest.fixture
def local_microsoft(microsoft_of_all: "MicrosoftServer") -> "MicrosoftServer":
    """A local Microsoft with its seed tenants and accounts and nothing else: as new."""
    from portal.sandbox.microsoft import MicrosoftSettings

    local, fresh = microsoft_of_all.microsoft, MicrosoftSettings()
    local.settings.domains = fresh.domains
    local.settings.steer(fresh.steerable())
    local.reset()
    return microsoft_of_all


@pytest.fixture(scope="session")
def post_of_all() -> Iterator["Post"]:
    from portal.sandbox.post import Post

    with Post() as running:
        yield running


@pytest.fixture
def post(post_of_all: "Post") -> Iterator["Post"]:
    """A local mail server where office@ has an account, with nothing in it."""
    from portal.providers import smtp

    post_of_all.desk.clear()
    post_of_all.desk.add("office@brightspark.example", "the office's password")
    post_of_all.show("good")
    yield post_of_all
    smtp.forget_connections()


@pytest.fixture
def besides() -> dict[str, str]:
    """Settings of `live` beside the usual; a module whose tests need some has its own of this."""
    return {}


@pytest.fixture(scope="session")
def letterbox_of_all() -> Iterator["Letterbox"]:
    from portal.sandbox.letterbox import Letterbox

    with Letterbox() as running:
        yield running


@pytest.fixture
def letterbox(letterbox_of_all: "Letterbox") -> Iterator["Letterbox"]:
    """A local IMAP server where office@ has an inbox with nothing in it."""
    from portal.providers import imap

    letterbox_of_all.boxes.clear()
    letterbox_of_all.boxes.add("office@brightspark.example", "the office's password")
    yield letterbox_of_all
    imap.forget_connections()


@pytest.fixture
def live(sqlite_template: Path, tmp_path: Path, besides: dict[str, str]) -> Iterator[servers.Live]:
    """A whole Sendwright of this test's own: portal over HTTP, local Google, worker, Redis."""
    copy = tmp_path / "live.sqlite3"
    copy.write_bytes(sqlite_template.read_bytes())
    with (
        servers.redis_server() as redis_url,
        servers.live_portal(tmp_path, f"sqlite:///{copy}", redis_url, **besides) as running,
    ):
        yield running


# The browser (pytest-playwright makes `browser`, `context` and `page` from these)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    path = chromium.find()
    assert path, chromium.NONE
    return {**browser_type_launch_args, "executable_path": path, "args": list(chromium.QUIET)}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    return {**browser_context_args, "locale": "en-AU", "timezone_id": "Australia/Sydney"}
