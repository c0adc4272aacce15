"""Home: which very store this is, as far as the store can say so itself.

A copied or restored database holds the same rows, yet not in the same place: PostgreSQL numbers
its servers, databases and tables, SQLite lies in a file of its own. What a database role may not
read is left out, and what one of two fingerprints leaves out is not compared.
"""

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from portal.extensions import db

#: What a difference means, gravest first.
MEANINGS = {
    "server": "The portal's records are on another server than the one that was confirmed.",
    "line": "The server of the portal's records went back in time, or another took its place.",
    "database": "The portal's records are a copy, or a backup that was restored.",
    "table": "The portal's records were restored from a backup.",
    "inode": "The portal's records are a copy, or a backup that was put in their place.",
    "file": "The portal's records are in another folder than the one that was confirmed.",
    "address": "The portal has another web address than the one that was confirmed.",
}
#: Read only where the role may, and where the server knows them at all.
SERVER = (
    ("pg_control_system()", "SELECT system_identifier FROM pg_control_system()", "server"),
    # The first eight digits of a log file's name are the server's time line: it becomes another
    # when a standby is promoted, or a server restored to a point in time.
    (
        "pg_walfile_name(pg_lsn)",
        "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)",
        "line",
    ),
)
DATABASE = "SELECT oid FROM pg_database WHERE datname = current_database()"
TABLE = "SELECT 'instance'::regclass::oid"
MAY_RUN = "SELECT has_function_privilege(CAST(:name AS text), 'execute')"


def read(public_url: str) -> dict[str, str]:
    """The fingerprint of the store the session is on. Needs no more than reading."""
    sqlite = db.session.connection().dialect.name == "sqlite"
    found = _of_file() if sqlite else _of_server()
    if address := _address(public_url):
        found["address"] = address
    return found


def is_played_back() -> bool:
    """Whether a server of PostgreSQL still plays its log back. It may be read then, but nobody
    knows yet which line of time it will be on."""
    if db.session.connection().dialect.name == "sqlite":
        return False
    return bool(db.session.scalar(text("SELECT pg_is_in_recovery()")))


def difference(kept: Mapping[str, str], found: Mapping[str, str]) -> str:
    """One sentence about the gravest difference; nothing where there is none."""
    differ = (one for one in MEANINGS if one in kept and one in found and kept[one] != found[one])
    return next((MEANINGS[one] for one in differ), "")


def file_of() -> str:
    """The path of the SQLite file; nothing on PostgreSQL, or in memory."""
    if db.engine.dialect.name != "sqlite" or not db.engine.url.database:
        return ""
    return os.path.realpath(db.engine.url.database)


def _of_file() -> dict[str, str]:
    # The number of the device is left out: it changes when a machine starts anew.
    path = file_of()
    try:
        return {"file": path, "inode": str(os.stat(path).st_ino)}
    except OSError:
        return {}


def _of_server() -> dict[str, str]:
    found = {"database": _one(DATABASE), "table": _one(TABLE)}
    for name, query, part in SERVER:
        said = _one_if_allowed(name, query)
        if said:
            found[part] = said
    return found


def _one(query: str) -> str:
    return str(db.session.scalar(text(query)) or "")


def _one_if_allowed(name: str, query: str) -> str:
    """What a function of the server says; nothing where it is refused or unknown."""
    try:
        with db.session.begin_nested():
            allowed = db.session.scalar(text(MAY_RUN), {"name": name})
            return _one(query) if allowed else ""
    except DBAPIError as problem:
        if problem.connection_invalidated:
            raise
        return ""


def _address(public_url: str) -> str:
    """Host and port; nothing for this machine alone, which does not say which portal it is."""
    parts = urlsplit(public_url)
    host = parts.hostname or ""
    if host == "localhost" or host.startswith("127.") or host == "::1":
        return ""
    return f"{host}:{parts.port}" if parts.port else host
