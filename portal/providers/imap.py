"""Imap: what comes in to a mailbox at a mail server, by IMAP4rev1 (RFC 3501); never changed there.

The inbox is opened for reading alone (EXAMINE) and letters are looked at without being marked read
(BODY.PEEK). Up to where was read is a UID and the UIDVALIDITY it belongs to: where that is another
one, all numbers mean something else, and so do the ids of letters known before. A refused log-in is
NeedsPermission: mail may leave all the same, by another server.

The standard library's imaplib speaks it, over a connection of the portal's own: to an address that
was judged (portal.hosts), with a deadline for the whole, and no answer longer than is wanted.
"""

import contextlib
import imaplib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Self, TypeVar

from portal import hosts
from portal.envelope import Gone, NeedsPermission, NeedsSignIn, ProviderAnswer, TryLater
from portal.providers.heads import LONGEST_HEAD, headers_of
from portal.providers.kept import Kept, Key
from portal.providers.obstacles import LONGEST_WORDS, Problem, harmless
from portal.providers.provider import ARRIVALS_MOST, INCOMING_LARGEST, Arrivals, Incoming
from portal.providers.submission import (
    SOON,
    Secret,
    Security,
    Server,
    Terms,
    Unusable,
    in_plain_words,
    may_be_clear,
    tls_context,
    why_not,
)

#: What a server says in answer to one command, at most: a letter, or the numbers of a large inbox.
MOST_SAID = INCOMING_LARGEST + (2 << 20)
#: A connection unused for so long (seconds) is given up; so many are kept.
GIVE_UP_AFTER, MOST_KEPT = 100.0, 64
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
Result = TypeVar("Result")


class Inbox:
    """The inbox of one account. secret, terms, timeout: as of Smtp."""

    def __init__(
        self, server: Server, secret: Callable[[], Secret], terms: Terms, timeout: float
    ) -> None:
        self._server, self._secret, self._terms = server, secret, terms
        self._timeout = timeout

    def look(self, text: str, since: datetime) -> Arrivals:
        """One page of what has come in after a mark, as Provider.arrivals promises it."""
        return self._by(lambda line: _look(line, text, since))

    def fetch(self, message_id: str, *, whole: bool) -> Incoming:
        """One letter, or its headers alone. Raises Gone."""
        return self._by(lambda line: _fetch(line, message_id, whole))

    def check(self, seconds: float) -> None:
        """Log in, open the inbox, and go. Raises Unusable."""
        line = open_line(self._server, self._secret(), self._terms, seconds)
        try:
            with _in_plain_words():
                line.examine()
        except ProviderAnswer as failure:
            raise Unusable(Problem.TURNED_AWAY, failure.words) from failure
        finally:
            line.close_connection()

    def _by(self, act: Callable[["Line"], Result]) -> Result:
        """Done over a kept connection if there is one; reading does no harm when it is repeated."""
        key = (self._server, self._terms.allowed is None, self._secret().mark)
        kept = _take(key)
        if kept is not None:
            with contextlib.suppress(*BROKEN):
                return self._done(kept, key, act)
        try:
            return self._done(self._open(), key, act)
        except BROKEN as failure:
            said = "no answer in time" if isinstance(failure, TimeoutError) else "it broke"
            raise TryLater("The connection to the mail server broke.", said, SOON) from failure

    def _open(self) -> "Line":
        try:
            return open_line(self._server, self._secret(), self._terms, self._timeout)
        except Unusable as failure:
            answer = failure.answer(self._server)
            if isinstance(answer, NeedsSignIn):  # mail may leave all the same: it is another server
                raise NeedsPermission(answer.message, answer.words) from failure
            raise answer from failure

    def _done(self, line: "Line", key: Key, act: Callable[["Line"], Result]) -> Result:
        line.until(self._timeout)
        try:
            found = act(line)
        except (Gone, TryLater):  # an answer like any other
            _kept.put(key, line)
            raise
        except BaseException:
            line.close_connection()
            raise
        _kept.put(key, line)
        return found


#: What a broken connection, or one that makes no sense, comes to.
BROKEN: tuple[type[Exception], ...] = (OSError, imaplib.IMAP4.error)


# -- looking ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mark:
    """Up to where was read. validity: which numbering it belongs to; uid: the last letter known;
    listing: up to this one they come of a list, because the numbers before meant something else."""

    validity: int
    uid: int
    listing: int = 0

    def __str__(self) -> str:
        return f"{self.validity} {self.uid} {self.listing}"

    @classmethod
    def read(cls, text: str) -> Self | None:
        """A mark as it was written; None where it is nothing of the kind."""
        parts = text.split(" ")
        if len(parts) != 3 or not all(one.isdecimal() for one in parts):
            return None
        return cls(*map(int, parts))


def _look(line: "Line", text: str, since: datetime) -> Arrivals:
    validity, following = line.examine()
    mark = Mark.read(text)
    begins = mark is None or mark.validity != validity
    if mark is None or begins:
        begun = _first_since(line, since, following)
        mark = Mark(validity, begun, following - 1 if text else 0)
    relisted = mark.uid < mark.listing or (begins and bool(text))
    found = sorted(one for one in line.numbers(f"UID {mark.uid + 1}:*") if one > mark.uid)
    page = found[:ARRIVALS_MOST]
    then = Mark(validity, page[-1] if page else max(mark.uid, following - 1), mark.listing)
    ids = tuple(f"{validity}.{one}" for one in page)
    return Arrivals(ids, str(then), len(found) > len(page), relisted)


def _first_since(line: "Line", since: datetime, following: int) -> int:
    """The last number that is not wanted, as all up to it is older."""
    # A server counts in days, of its own time zone.
    day = since.astimezone(UTC) - timedelta(days=1)
    near = sorted(line.numbers(f"SINCE {day.day}-{MONTHS[day.month - 1]}-{day.year}"))
    low, high = 0, len(near)
    while low < high:
        middle = (low + high) // 2
        at = line.came_at(near[middle])
        low, high = (middle + 1, high) if at is not None and at < since else (low, middle)
    return near[low] - 1 if low < len(near) else following - 1


def _fetch(line: "Line", message_id: str, whole: bool) -> Incoming:
    validity, _, uid = message_id.partition(".")
    if not (validity.isdecimal() and uid.isdecimal()) or int(validity) != line.opened():
        raise Gone("The mail server no longer has it.", "its numbers have changed")
    part = f"BODY.PEEK[]<0.{INCOMING_LARGEST}>"
    letter = line.letter(int(uid), part if whole else f"BODY.PEEK[HEADER]<0.{LONGEST_HEAD}>")
    if letter is None:
        raise Gone("The mail server no longer has it.", f"no UID {uid}")
    return Incoming(
        id=message_id,
        thread_id="",
        at=letter.at,
        raw=letter.data if whole else None,
        headers=headers_of(letter.data),
        size=letter.size,
    )


# -- what a server answers, pure -------------------------------------------------------------------


@dataclass(frozen=True)
class Letter:
    """What a FETCH told of one letter. data: of it, or of its headers, as much as was asked for."""

    uid: int
    size: int
    at: datetime | None
    data: bytes


_UID = re.compile(rb"\bUID (\d{1,10})")
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d{1,15})")
_AT = re.compile(rb'\bINTERNALDATE "([^"]{1,40})"')
_QUOTED = re.compile(rb'\bBODY\[[^\]]*\](?:<\d+>)? "((?:[^"\\]|\\.)*)"', re.DOTALL)
_NUMBER = re.compile(rb"\d{1,10}")


def letters_of(data: Sequence[Any]) -> Iterator[Letter]:
    """The letters in what imaplib makes of FETCH answers; whatever else is in there is no letter.

    It hands over a text for each answer, and a pair for each part of one that ends in a literal.
    """
    text, literal = b"", b""
    for piece in data:
        if isinstance(piece, tuple):
            text, literal = text + piece[0], bytes(piece[1])
            continue
        found = _letter(text + (piece or b""), literal)
        if found is not None:
            yield found
        text, literal = b"", b""


def _letter(text: bytes, literal: bytes) -> Letter | None:
    uid, size, at = _UID.search(text), _SIZE.search(text), _AT.search(text)
    if uid is None:
        return None
    quoted = _QUOTED.search(text)
    data = re.sub(rb"\\(.)", rb"\1", quoted[1], flags=re.DOTALL) if quoted else literal
    return Letter(int(uid[1]), int(size[1]) if size else 0, _moment(at[1] if at else b""), data)


def _moment(said: bytes) -> datetime | None:
    try:
        found = parsedate_to_datetime(said.decode("ascii").strip())
    except (ValueError, TypeError, IndexError):
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def numbers_in(data: Sequence[Any]) -> list[int]:
    """The numbers of a SEARCH answer."""
    return [int(one) for piece in data if piece for one in _NUMBER.findall(piece)]


# -- the conversation ------------------------------------------------------------------------------


class Line(imaplib.IMAP4):
    """A connection to one server. Nothing waits longer than until its deadline."""

    def __init__(self, server: Server, terms: Terms, seconds: float) -> None:
        self.server, self.terms = server, terms
        self.used_at = time.monotonic()
        self._kept, self._more = b"", MOST_SAID
        self._validity: int | None = None
        self._deadline = time.monotonic() + seconds
        super().__init__(server.host, server.port)

    def until(self, seconds: float) -> None:
        """From now on, so long."""
        self._deadline = time.monotonic() + seconds
        self._more = MOST_SAID

    @property
    def _left(self) -> float:
        seconds = self._deadline - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("timed out")
        return seconds

    # -- what imaplib asks for: the transport ----------------------------------------------------

    def open(self, host: str = "", port: int = 143, timeout: float | None = None) -> None:
        self.host, self.port = host, port
        server, allowed = self.server, self.terms.allowed
        self.sock = hosts.connect(host, port, allowed, self._left, hosts.READING_PORTS)
        try:
            if server.security is Security.TLS:
                self._wrap()
            elif server.security is Security.CLEAR:
                self._refuse_clear_text()
        except BaseException:
            self.close_connection()
            raise

    def _wrap(self) -> None:
        self.sock.settimeout(self._left)
        context = tls_context(self.terms.authorities)
        self.sock = context.wrap_socket(self.sock, server_hostname=self.server.host)

    def _refuse_clear_text(self) -> None:
        if not may_be_clear(self.sock, self.server, self.terms):
            raise Unusable(Problem.NO_TLS, "clear text is not allowed")

    def read(self, size: int) -> bytes:
        if size > self._more + len(self._kept):
            raise self.abort("more than is wanted")
        while len(self._kept) < size:
            self._receive()
        found, self._kept = self._kept[:size], self._kept[size:]
        return found

    def readline(self) -> bytes:
        start = 0
        while (end := self._kept.find(b"\n", start)) < 0:
            start = len(self._kept)
            self._receive()
        found, self._kept = self._kept[: end + 1], self._kept[end + 1 :]
        return found

    def _receive(self) -> None:
        self.sock.settimeout(self._left)
        came = self.sock.recv(65536)
        self._more -= len(came)
        if not came or self._more < 0:
            raise self.abort("more than is wanted" if came else "the connection was closed")
        self._kept += came

    def send(self, data: Any) -> None:
        view = memoryview(data)
        while view:
            self.sock.settimeout(self._left)
            view = view[self.sock.send(view) :]

    def shutdown(self) -> None:
        self.close_connection()

    def close_connection(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            self.sock.close()

    # -- beginning -------------------------------------------------------------------------------

    def encrypt(self) -> None:
        """STARTTLS. What was said before it counts for nothing after it (RFC 3501, 6.2.1)."""
        if "STARTTLS" not in self.capabilities or self.state != "NONAUTH":
            raise Unusable(Problem.NO_TLS, "it offers no STARTTLS")
        kind, _ = self.xatom("STARTTLS")
        if kind != "OK" or self._kept:
            raise Unusable(Problem.TLS_BROKEN, "it did not begin, or said more than that")
        self._wrap()
        told = self.capability()[1]
        self.capabilities = tuple(str(told[-1] or b"", "ascii", "replace").upper().split())

    def log_in(self, secret: Secret) -> None:
        user = self.server.user
        try:
            if secret.token:
                bearer = f"user={user}\1auth=Bearer {secret.token}\1\1".encode()
                self._prove("XOAUTH2", bearer)
            elif "AUTH=PLAIN" in self.capabilities:
                self._prove("PLAIN", f"\0{user}\0{secret.password}".encode())
            elif "LOGINDISABLED" not in self.capabilities:
                self.login(user, secret.password)
            else:
                raise Unusable(Problem.NO_AUTH, "it lets nobody log in")
        except (self.abort, UnicodeError):
            raise
        except self.error as failure:
            raise refused_log_in(str(failure)) from failure

    def _prove(self, way: str, said: bytes) -> None:
        if f"AUTH={way}" not in self.capabilities:
            raise Unusable(Problem.NO_AUTH, "it offers no way to log in that the portal knows")
        answers = iter((said,))
        # Asked once more, it wants to tell why it refuses: that is heard with an empty line.
        self.authenticate(way, lambda _challenge: next(answers, b""))

    # -- reading ---------------------------------------------------------------------------------

    def examine(self) -> tuple[int, int]:
        """Open the inbox for reading. Returns its UIDVALIDITY, and the number of the next letter.

        Raises TryLater where the server does not let it be read.
        """
        self._good(*self.select("INBOX", readonly=True))
        validity, following = self._told("UIDVALIDITY"), self._told("UIDNEXT")
        if validity is None:
            raise TryLater(_NOT_LET, "it tells no UIDVALIDITY", SOON)
        if following is None:  # it may be left out (RFC 3501, 6.3.1)
            following = max(self.numbers("UID 1:*"), default=0) + 1
        self._validity = validity
        return validity, following

    def opened(self) -> int:
        """Its UIDVALIDITY, which stays the same for as long as it is open."""
        return self.examine()[0] if self._validity is None else self._validity

    def _told(self, name: str) -> int | None:
        found = numbers_in(self.response(name)[1] or [])
        return found[-1] if found else None

    def numbers(self, what: str) -> list[int]:
        """The numbers (UIDs) of the letters that fit."""
        return numbers_in(self._good(*self.uid("SEARCH", *what.split(" "))))

    def came_at(self, uid: int) -> datetime | None:
        """When a letter came; None where it is gone, or nobody can tell."""
        found = letters_of(self._good(*self.uid("FETCH", str(uid), "(UID INTERNALDATE)")))
        return next((one.at for one in found if one.uid == uid), None)

    def letter(self, uid: int, part: str) -> Letter | None:
        """So much of one letter; None where it is gone."""
        what = f"(UID RFC822.SIZE INTERNALDATE {part})"
        found = letters_of(self._good(*self.uid("FETCH", str(uid), what)))
        return next((one for one in found if one.uid == uid), None)

    def _good(self, kind: str, data: Sequence[Any]) -> Sequence[Any]:
        if kind == "OK":
            return data
        raise TryLater(_NOT_LET, words_of(kind, data), SOON)


_NOT_LET = "The mail server did not let the portal read what came in."


def words_of(kind: str, data: Sequence[Any]) -> str:
    """An answer as it is kept in the evidence: on one line, harmless, not too long."""
    said = b" ".join(one for one in data if isinstance(one, bytes)).decode(errors="replace")
    return harmless(f"{kind} {' '.join(said.split())}")[:LONGEST_WORDS]


#: RFC 5530 and what servers write without its codes.
_BUSY = re.compile(r"\[(UNAVAILABLE|LIMIT|INUSE|SERVERBUG)\]|too many|try again|temporar", re.I)


#: GMX's and others' words for it.
_OFF = re.compile(r"imap\b.{0,30}(disabled|not enabled|switched off|not allowed)|enable imap", re.I)


def refused_log_in(said: str) -> Unusable:
    """What keeps the portal from logging in, by the server's answer to it."""
    said = said.removeprefix("b'").removesuffix("'")
    if _OFF.search(said):
        problem = Problem.READING_OFF
    else:
        problem = Problem.BUSY if _BUSY.search(said) else why_not(535, said)
    return Unusable(problem, harmless(" ".join(said.split()))[:LONGEST_WORDS])


def open_line(server: Server, secret: Secret, terms: Terms, seconds: float) -> Line:
    """A connection, encrypted and logged in. Raises Unusable, having told nobody the password
    unless the server proved who it is."""
    made: list[Line] = []
    try:
        with _in_plain_words():
            line = Line(server, terms, seconds)
            made.append(line)
            if server.security is Security.STARTTLS:
                line.encrypt()
            line.log_in(secret)
            return line
    except BaseException:
        for one in made:
            one.close_connection()
        raise


@contextlib.contextmanager
def _in_plain_words() -> Iterator[None]:
    """Turns whatever the network and imaplib raise into what it means here."""
    try:
        with in_plain_words():
            yield
    except imaplib.IMAP4.abort as failure:
        raise Unusable(Problem.NOT_MAIL, harmless(str(failure))[:LONGEST_WORDS]) from failure
    except imaplib.IMAP4.error as failure:
        raise Unusable(Problem.TURNED_AWAY, harmless(str(failure))[:LONGEST_WORDS]) from failure
    except UnicodeError as failure:
        raise Unusable(Problem.NO_AUTH, "it takes plain letters only") from failure


# -- kept-open connections -------------------------------------------------------------------------

_kept: Kept[Line] = Kept(MOST_KEPT, Line.close_connection)


def _take(key: Key) -> Line | None:
    """The connection kept for this log-in, unless it is too old."""
    line = _kept.take(key)
    if line is not None and time.monotonic() - line.used_at > GIVE_UP_AFTER:
        line.close_connection()
        return None
    return line


def forget_connections() -> None:
    """After a fork: the parent's sockets must not be shared."""
    _kept.forget()
