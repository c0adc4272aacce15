"""Wire: the kept-open connections over which providers are called, and what a broken one means.

Nothing is ever repeated by the client: a POST that got no answer may have been carried out. Whether
it can have been is what decides between "try later" and "unclear".
"""

import json
import threading
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import certifi
import urllib3
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
)
from urllib3.response import BaseHTTPResponse

from portal.envelope import OutcomeUnknown, ProviderAnswer, TryLater

#: Two for each mailbox that has its turn (turn.py): more would be opened and closed for each call.
MOST_CONNECTIONS = 256
#: Never a byte of the request left: certainly not accepted.
NOT_REACHED = (NewConnectionError, ConnectTimeoutError, NameResolutionError)
#: What somebody has to put right first is tried again after so many seconds.
WHILE_LOOKED_INTO = 300.0
IN_BETWEEN = "Something between here and the mail provider answered in its place."


class TooMuch(Exception):
    """An answer is longer than anybody wants it. What was asked for sends nothing."""


class _Connection(HTTPSConnection):
    """Tells a handshake that failed, before anything was asked, from TLS that broke later on."""

    def connect(self) -> None:
        try:
            super().connect()
        except OSError as failure:
            raise NewConnectionError(self, f"no TLS connection: {failure}") from failure


class _ConnectionPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Connection


_pool: urllib3.PoolManager | None = None
_pool_lock = threading.Lock()
_hosts: dict[str, urllib3.HTTPConnectionPool] = {}


def connections(address: str) -> urllib3.HTTPConnectionPool:
    """The kept-open connections of this process to one address, shared by all mailboxes."""
    global _pool
    with _pool_lock:
        if _pool is None:
            _pool = urllib3.PoolManager(
                num_pools=8, maxsize=MOST_CONNECTIONS, retries=False, ca_certs=certifi.where()
            )
            _pool.pool_classes_by_scheme = {
                **_pool.pool_classes_by_scheme,
                "https": _ConnectionPool,
            }
            _hosts.clear()
        if address not in _hosts:
            _hosts[address] = _pool.connection_from_url(address)
        return _hosts[address]


def forget_connections() -> None:
    """After a fork: the parent's sockets must not be shared."""
    global _pool
    _pool = None


def patience(seconds: float) -> urllib3.Timeout:
    """How long a call may take: to connect, and then for each piece of its answer."""
    return urllib3.Timeout(connect=min(seconds, 10), read=seconds)


def clock_ahead(date: str, received: datetime) -> timedelta | None:
    """How far the clock of who answered is ahead of this machine's, by the Date of an answer
    (RFC 9110, 6.6.1) and when that came in; None where it tells none."""
    try:
        told = parsedate_to_datetime(date)
        return told.replace(tzinfo=told.tzinfo or UTC) - received
    except (ValueError, OverflowError):
        return None


def read_up_to(answer: BaseHTTPResponse, most: int, *, cut: bool = False) -> bytes:
    """The body of an answer that was not preloaded, when it has no more than so many bytes.

    cut: its first part where it has more. Raises TooMuch otherwise; HTTPError where it breaks.
    """
    data = answer.read(most + 1)
    if len(data) <= most:
        answer.release_conn()
        return data
    answer.close()  # the rest of it is not waited for
    if cut:
        return data[:most]
    raise TooMuch


def object_in(answer: bytes) -> dict[str, Any] | None:
    """The JSON object that an answer is; None where it is none."""
    try:
        found = json.loads(answer)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def words_of(status: int, said: str, body: bytes) -> str:
    """An answer in its own words, for the evidence: what its error said, else how it begins."""
    return f"{status} {said or body[:200].decode(errors='replace')}".strip()


def broken(failure: HTTPError, *, sends: bool, name: str) -> ProviderAnswer:
    """What a call comes to whose connection failed. sends: by it a message may have left."""
    cause = failure.reason if isinstance(failure, MaxRetryError) else failure
    words = f"{type(cause).__name__}: {cause}"[:300]
    if isinstance(cause, NOT_REACHED):
        return TryLater(f"{name} could not be reached.", words)
    return unclear(f"The connection to {name} broke before it answered.", words, sends=sends)


def unclear(
    message: str, words: str, *, sends: bool, after: float = 30, rests: float = 0
) -> ProviderAnswer:
    """What a call comes to that may have been carried out, or not.

    after: when what sends nothing is tried again; rests: how long the mailbox is left alone where a
    message may have left, since the next would fare no better.
    """
    if sends:
        return OutcomeUnknown(message, words, rests=rests)
    return TryLater(message, words, max(after, rests))


def in_between(words: str, *, sends: bool) -> ProviderAnswer:
    """An answer that is not the provider's own: what stands between may have passed the call on."""
    return unclear(IN_BETWEEN, words, sends=sends, rests=WHILE_LOOKED_INTO)
