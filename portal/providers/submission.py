"""Submission: one conversation with a mail server, from the connection to the log-in.

TLS from the first byte or by STARTTLS, the certificate checked; clear text only where the operator
allowed that very host. What can go wrong on the way is a Problem, each with a sentence of its own
for the office (portal.providers.obstacles).
"""

import base64
import contextlib
import hashlib
import re
import smtplib
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import certifi

from portal import hosts
from portal.envelope import NeedsSignIn, OperatorProblem, ProviderAnswer, TryLater
from portal.hosts import Entry, Forbidden
from portal.providers.obstacles import (
    OF_THE_PASSWORD,
    PASSING,
    READING_STEPS,
    SENTENCES,
    WITHOUT_READING,
    Problem,
    words_of,
)

#: So much a server may say between two messages; more is no mail server.
MOST_SAID = 1 << 20
#: Seconds until what passes by itself is tried again.
SOON = 60


class Security(StrEnum):
    """How a server is spoken to."""

    TLS = "tls"
    STARTTLS = "starttls"
    CLEAR = "clear"


class Unusable(Exception):
    """The portal could not log in. words: what the server said, harmless."""

    def __init__(self, problem: Problem, words: str = "") -> None:
        super().__init__(problem)
        self.problem, self.words = problem, words

    def sentence(self, server: "Server") -> str:
        return _filled(SENTENCES[self.problem][0], server)

    def next_step(self, server: "Server") -> str:
        return _filled(SENTENCES[self.problem][1], server)

    def next_reading_step(self, server: "Server") -> str:
        """The same for a server where what comes in is read."""
        step = READING_STEPS.get(self.problem) or SENTENCES[self.problem][1]
        return f"{_filled(step, server)} {WITHOUT_READING}"

    def answer(self, server: "Server") -> ProviderAnswer:
        """What becomes of that for which no connection came about."""
        sentence = self.sentence(server)
        if self.problem in OF_THE_PASSWORD:
            return NeedsSignIn(sentence, self.words)
        if self.problem in PASSING:
            return TryLater(sentence, self.words, SOON)
        return OperatorProblem(sentence, self.words)


def _filled(text: str, server: "Server") -> str:
    return text.format(host=server.host, port=server.port, user=server.user or "This mailbox")


@dataclass(frozen=True)
class Server:
    """Where a mail server is, how it is spoken to, and who logs in there; user "": nobody does."""

    host: str
    port: int
    security: Security
    user: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "host": self.host,
            "port": self.port,
            "security": self.security.value,
            "user": self.user,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        security = Security(stored["security"])
        return cls(str(stored["host"]), int(stored["port"]), security, str(stored.get("user", "")))


def of_url(url: str) -> tuple[Server, str]:
    """The server of smtp://user:password@host:port or smtps://…, and the password.

    smtp:// is STARTTLS, and clear text with ?clear.
    """
    parts = urlsplit(url)
    clear = Security.CLEAR if parts.query == "clear" else Security.STARTTLS
    security = Security.TLS if parts.scheme == "smtps" else clear
    port = parts.port or (465 if security is Security.TLS else 587)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return Server(parts.hostname or "", port, security, user), password


@dataclass(frozen=True)
class Secret:
    """What is proved at the log-in: a password, or a token (XOAUTH2)."""

    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    @property
    def mark(self) -> str:
        """Tells one secret from another, and nothing of either."""
        return hashlib.sha256(f"{self.password}\0{self.token}".encode()).hexdigest()


@dataclass(frozen=True)
class Terms:
    """What the operator allows. allowed None: of a server that the operator named."""

    allowed: Sequence[Entry] | None = ()
    clear_text: Sequence[Entry] = ()
    authorities: Path | None = None


class Line(smtplib.SMTP):
    """A connection to one server, logged in. Nothing waits longer than until its deadline."""

    def __init__(self, server: Server, terms: Terms) -> None:
        super().__init__(local_hostname=_own_name())
        self.server, self.terms = server, terms
        self.deadline = 0.0
        self._host = server.host  # by which the certificate is checked
        self.used_at = time.monotonic()

    @property
    def left(self) -> float:
        """Seconds to the deadline. Raises TimeoutError after it."""
        seconds = self.deadline - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("timed out")
        return seconds

    def until(self, seconds: float) -> None:
        """From now on, so long."""
        self.deadline = time.monotonic() + seconds
        if isinstance(self.file, _Said):
            self.file.more = MOST_SAID

    def be_in_time(self) -> None:
        """Raises TimeoutError after the deadline."""
        _ = self.left

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None:
            self.file = _Said(self)
        return super().getreply()

    def write(self, data: bytes | memoryview) -> None:
        """All of it, by the deadline. Raises OSError."""
        assert self.sock is not None
        view = memoryview(data)
        while view:
            self.sock.settimeout(self.left)
            view = view[self.sock.send(view[:PIECE]) :]

    def supports(self, extension: str) -> bool:
        return extension in self.esmtp_features


#: So much is handed to the network at once.
PIECE = 256 * 1024


class _Said:
    """What the server says, line by line; smtplib's own reader knows no deadline of the whole."""

    def __init__(self, line: Line) -> None:
        self._line, self._kept, self.more = line, b"", MOST_SAID

    def readline(self, limit: int) -> bytes:
        assert self._line.sock is not None
        while b"\n" not in self._kept[:limit] and len(self._kept) < limit:
            self._line.sock.settimeout(self._line.left)
            came = self._line.sock.recv(8192)
            self.more -= len(came)
            if not came or self.more < 0:
                return b""
            self._kept += came
        end = self._kept.find(b"\n", 0, limit) + 1 or limit
        found, self._kept = self._kept[:end], self._kept[end:]
        return found

    def close(self) -> None:
        self._kept = b""


def _own_name() -> str:
    """How the portal calls itself: its machine's own name is nobody's business."""
    return "[127.0.0.1]"


# -- opening ---------------------------------------------------------------------------------------


def open_line(server: Server, secret: Secret, terms: Terms, seconds: float) -> Line:
    """A connection, encrypted and logged in. Raises Unusable, having told nobody the password
    unless the server proved who it is."""
    line = Line(server, terms)
    line.until(seconds)
    try:
        with in_plain_words():
            _connect(line)
            _greet(line)
            _encrypt(line)
            _log_in(line, secret)
    except BaseException:
        line.close()
        raise
    return line


@contextlib.contextmanager
def in_plain_words() -> Iterator[None]:
    """Turns whatever the network and smtplib raise into what it means here."""
    try:
        yield
    except (OSError, Forbidden) as failure:  # smtplib's exceptions are OSErrors too
        meant = next(meant for kind, meant in _MEANING if isinstance(failure, kind))
        raise meant(failure) from failure


def _hung_up(failure: smtplib.SMTPServerDisconnected) -> Unusable:
    if "timed out" in str(failure):  # all that smtplib leaves of it
        return Unusable(Problem.SILENT, "no answer in time")
    return Unusable(Problem.NOT_MAIL, "the connection was closed")


def _tls_problem(failure: ssl.SSLError) -> Unusable:
    if isinstance(failure, ssl.SSLCertVerificationError):
        return Unusable(_CERTIFICATE.get(failure.verify_code, Problem.UNTRUSTED), _tls(failure))
    if isinstance(failure, ssl.SSLEOFError | ssl.SSLZeroReturnError):  # it may just be restarting
        return Unusable(Problem.NOT_MAIL, "the connection was closed")
    if failure.reason in ("WRONG_VERSION_NUMBER", "UNEXPECTED_MESSAGE", "RECORD_LAYER_FAILURE"):
        return Unusable(Problem.NO_TLS, _tls(failure))  # it speaks, but not TLS
    return Unusable(Problem.TLS_BROKEN, _tls(failure))


#: X509_V_ERR_… of OpenSSL.
_CERTIFICATE = {
    9: Problem.EXPIRED,  # not valid yet: its clock or ours is wrong
    10: Problem.EXPIRED,
    18: Problem.SELF_SIGNED,
    19: Problem.SELF_SIGNED,
    62: Problem.WRONG_NAME,
    64: Problem.WRONG_NAME,
}


def _tls(failure: ssl.SSLError) -> str:
    return str(getattr(failure, "verify_message", "") or failure.reason or "TLS failed")


def _said_no(code: int, said: bytes) -> Unusable:
    """The server answered at once that it wants nothing of us."""
    if code == -1 or code == 500:
        return Unusable(Problem.NOT_MAIL, "no answer of a mail server")
    problem = Problem.BUSY if 400 <= code < 500 else Problem.TURNED_AWAY
    return Unusable(problem, words_of(code, said))


#: The first that fits counts.
_MEANING: tuple[tuple[type[Exception], Callable[[Any], Unusable]], ...] = (
    (Forbidden, lambda _: Unusable(Problem.FORBIDDEN)),
    (ssl.SSLError, _tls_problem),
    (socket.gaierror, lambda _: Unusable(Problem.NO_SUCH_HOST, "the name leads nowhere")),
    (TimeoutError, lambda _: Unusable(Problem.SILENT, "no answer in time")),
    (ConnectionRefusedError, lambda _: Unusable(Problem.CLOSED, "the connection was refused")),
    (
        smtplib.SMTPResponseException,
        lambda failure: _said_no(failure.smtp_code, _bytes(failure.smtp_error)),
    ),
    (smtplib.SMTPServerDisconnected, _hung_up),
    (OSError, lambda failure: Unusable(Problem.CLOSED, type(failure).__name__)),
)


def _bytes(said: bytes | str) -> bytes:
    return said.encode() if isinstance(said, str) else said


def _connect(line: Line) -> None:
    server = line.server
    line.sock = hosts.connect(server.host, server.port, line.terms.allowed, line.left)
    if server.security is Security.CLEAR and not may_be_clear(line.sock, server, line.terms):
        raise Unusable(Problem.NO_TLS, "clear text is not allowed")
    if server.security is Security.TLS:
        line.sock.settimeout(line.left)
        line.sock = tls_context(line.terms.authorities).wrap_socket(
            line.sock, server_hostname=server.host
        )


def may_be_clear(sock: socket.socket, server: Server, terms: Terms) -> bool:
    """Whether the operator allowed clear text to the very address that was connected to."""
    peer = hosts.ip_of(sock.getpeername()[0])
    return any(one.covers(server.host, server.port, peer) for one in terms.clear_text)


_contexts: dict[Path | None, ssl.SSLContext] = {}


def tls_context(authorities: Path | None) -> ssl.SSLContext:
    """Whom to trust: this machine's authorities, the usual ones, and the operator's."""
    if authorities not in _contexts:
        made = ssl.create_default_context()
        made.load_verify_locations(certifi.where())
        if authorities is not None:
            made.load_verify_locations(authorities)
        _contexts[authorities] = made
    return _contexts[authorities]


def _greet(line: Line) -> None:
    code, said = line.getreply()
    if code != 220:
        raise _said_no(code, said)
    _introduce(line)


def _introduce(line: Line) -> None:
    code, said = line.ehlo()
    if code != 250:
        code, said = line.helo()
    if code != 250:
        raise _said_no(code, said)


def _encrypt(line: Line) -> None:
    if line.server.security is not Security.STARTTLS:
        return
    if not line.supports("starttls"):
        raise Unusable(Problem.NO_TLS, "it offers no STARTTLS")
    line.sock.settimeout(line.left)  # type: ignore[union-attr]  # it is connected
    line.starttls(context=tls_context(line.terms.authorities))
    _introduce(line)


# -- logging in ------------------------------------------------------------------------------------


def _log_in(line: Line, secret: Secret) -> None:
    if not line.server.user:
        return
    way = _way(line, secret)
    if way is None:
        raise Unusable(Problem.NO_AUTH, "it offers no way to log in that the portal knows")
    code, said = way(line, line.server.user, secret)
    if code != 235:
        raise Unusable(why_not(code, said.decode(errors="replace")), words_of(code, said))


Way = Callable[[Line, str, Secret], tuple[int, bytes]]


def _way(line: Line, secret: Secret) -> Way | None:
    """How to log in, of what the server offers."""
    offered = line.esmtp_features.get("auth", "").upper().replace("=", " ").split()
    ways = _BY_TOKEN if secret.token else _BY_PASSWORD
    return next((way for name, way in ways.items() if name in offered), None)


def _xoauth2(line: Line, user: str, secret: Secret) -> tuple[int, bytes]:
    """developers.google.com/workspace/gmail/imap/xoauth2-protocol; Microsoft's is the same."""
    code, said = _auth(line, "XOAUTH2", f"user={user}\1auth=Bearer {secret.token}\1\1")
    if code != 334:
        return code, said
    code, _ = line.docmd("")  # the challenge was its reason, in JSON; now it refuses
    return code, _decoded(said)


def _plain(line: Line, user: str, secret: Secret) -> tuple[int, bytes]:
    return _auth(line, "PLAIN", f"\0{user}\0{secret.password}")


def _login(line: Line, user: str, secret: Secret) -> tuple[int, bytes]:
    code, said = line.docmd("AUTH LOGIN")
    for one in (user, secret.password):
        if code != 334:
            break
        code, said = line.docmd(_encoded(one))
    return code, said


# By hand, because smtplib knows no password beyond ASCII (RFC 4616 asks for UTF-8).
_BY_PASSWORD: dict[str, Way] = {"PLAIN": _plain, "LOGIN": _login}
_BY_TOKEN: dict[str, Way] = {"XOAUTH2": _xoauth2}


def _auth(line: Line, name: str, response: str) -> tuple[int, bytes]:
    return line.docmd("AUTH", f"{name} {_encoded(response)}")


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _decoded(said: bytes) -> bytes:
    try:
        return base64.b64decode(said, validate=True)
    except ValueError:
        return said


#: 5.7.9 and Google's and Yahoo's words for it (RFC 5248; support.google.com/mail/answer/185833).
_APP_PASSWORD = re.compile(r"app(lication)?[- ]?(specific)?[- ]password|InvalidSecondFactor", re.I)
#: Exchange Online's refusals: 5.7.139, 5.7.57 and SmtpClientAuthentication.
_PASSWORDS_OFF = re.compile(r"5\.7\.139|5\.7\.57|SmtpClientAuth\w* is disabled|basic auth", re.I)


def why_not(code: int, said: str) -> Problem:
    """What keeps the portal from logging in, by a server's refusal of it."""
    if 400 <= code < 500 and code != 432:  # a password in transition is still not the right one
        return Problem.BUSY
    if code in (502, 503, 504):
        return Problem.NO_AUTH
    if _PASSWORDS_OFF.search(said):
        return Problem.PASSWORDS_OFF
    return Problem.APP_PASSWORD if _APP_PASSWORD.search(said) else Problem.WRONG_PASSWORD
