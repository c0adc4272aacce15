"""Smtp: a mailbox at any mail server, by SMTP submission (RFC 6409): handed over in one step.

MAIL, RCPT and DATA are spoken by hand, so that each reply has its meaning: until the final dot has
gone out, every failure is certain; after it only a reply is. A server keeps no draft and shows no
sent copy, so what is unclear goes to a person. Connections are kept open between messages.
"""

import re
import smtplib
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from portal import pace
from portal.envelope import (
    NeedsSignIn,
    NotAllowed,
    OutcomeUnknown,
    ProviderAnswer,
    Receipt,
    Refused,
    TryLater,
    Turned,
)
from portal.providers.imap import Inbox
from portal.providers.kept import Kept, Key
from portal.providers.obstacles import Problem, words_of
from portal.providers.provider import Abilities, Access, Arrivals, Incoming, Provider
from portal.providers.submission import Line, Secret, Server, Terms, Unusable, open_line

#: Parts of PROVIDER_TIMEOUT: up to the final dot, the connection included, and from it to the
#: answer. Together they are no more than the five that a lease lasts at least; the second is long
#: because what it leaves unclear takes a person.
BEFORE_THE_DOT, AFTER_THE_DOT = 2.5, 2.5
#: A connection unused for so long (seconds) is asked whether it is still there, or given up.
ASK_AFTER, GIVE_UP_AFTER = 1.0, 100.0
MOST_KEPT = 64
#: Seconds until what passes by itself is tried again, and a limit of the hour or the day.
SOON, AN_HOUR = 60, 3600

Reply = tuple[int, bytes]


class Smtp(Provider):
    """One mailbox at a mail server.

    secret: asked for what proves the log-in, when a connection has to be opened; raises what keeps
    it. timeout: PROVIDER_TIMEOUT, in seconds. inbox: where what comes in is read (portal.providers.
    imap), for a mailbox whose server for it is known.
    """

    label = "the mail server"
    tariff = pace.TARIFFS["smtp"]

    def __init__(
        self,
        server: Server,
        secret: Callable[[], Secret],
        terms: Terms,
        timeout: float,
        inbox: Inbox | None = None,
    ) -> None:
        self.abilities = Abilities(send=True, incoming=Access.WHOLE if inbox else Access.NONE)
        self._inbox = inbox
        self.spend: Callable[[str], None] = lambda _call: None
        self._server, self._secret, self._terms = server, secret, terms
        self._timeout = timeout

    def send(self, mime: bytes, sender: str, recipients: Sequence[str]) -> Receipt:
        if not mime.endswith(b"\r\n") or mime.count(b"\n") != mime.count(b"\r\n"):
            raise Refused("The message has line ends that no mail server takes.", "not CRLF")
        if not "".join((sender, *recipients)).isascii():
            raise Refused(_NOT_ASCII, "SMTPUTF8 is not used")
        self.spend("send")
        key = (self._server, self._terms.allowed is None, self._secret().mark)
        ends = time.monotonic() + self._timeout * BEFORE_THE_DOT
        line = _take(key, min(5.0, self._timeout / 2))
        if line is not None:
            try:
                return self._send_by(line, ends, key, mime, sender, recipients)
            except _LetGo:  # it was kept too long for the server: nothing was begun on it
                line.close()
        try:
            return self._send_by(self._open(ends), ends, key, mime, sender, recipients)
        except _LetGo as failure:
            raise TryLater("The mail server hung up.", failure.words, SOON) from failure

    def arrivals(self, mark: str, *, since: datetime) -> Arrivals:
        if self._inbox is None:
            return super().arrivals(mark, since=since)
        self.spend("look")
        return self._inbox.look(mark, since)

    def incoming(self, message_id: str, *, whole: bool = True) -> Incoming:
        if self._inbox is None:
            return super().incoming(message_id, whole=whole)
        self.spend("fetch")
        return self._inbox.fetch(message_id, whole=whole)

    def check(self, sender: str, seconds: float) -> None:
        """Log in, ask whether mail from this address would be taken, and go. Raises Unusable."""
        line = open_line(self._server, self._secret(), self._terms, seconds)
        try:
            code, said = line.docmd("MAIL", f"FROM:<{sender}>")
            if code >= 500:
                problem = Problem.NO_AUTH if code in _NOT_LOGGED_IN else Problem.SENDER
                raise Unusable(problem, words_of(code, said))
            line.docmd("RSET")
        except smtplib.SMTPServerDisconnected:  # the log-in had worked
            pass
        finally:
            line.close()

    def _open(self, ends: float) -> Line:
        try:
            seconds = min(self._timeout, ends - time.monotonic())
            return open_line(self._server, self._secret(), self._terms, seconds)
        except Unusable as failure:
            raise no_connection(failure, self._server) from failure

    def _send_by(
        self,
        line: Line,
        ends: float,
        key: Key,
        mime: bytes,
        sender: str,
        recipients: Sequence[str],
    ) -> Receipt:
        """One message over one connection, which is kept only where all went well.

        ends: when (monotonic) the final dot has to be out, or nothing is sent.
        """
        try:
            line.until(ends - time.monotonic())
            turned = _announce(line, mime, sender, recipients)
            words = _hand_over(line, mime, sender, self._timeout * AFTER_THE_DOT)
        except BaseException:
            line.close()
            raise
        _kept.put(key, line)
        return Receipt("", turned_away=tuple(turned), words=words)


_NOT_ASCII = (
    "One of its addresses has letters beyond a to z, which this mail server is not asked to take. "
    "Write the address in plain letters."
)


def abilities(_granted: set[str]) -> Abilities:
    """What such a mailbox offers: nothing is granted, it is a password."""
    return Abilities(send=True)


class _LetGo(Exception):
    """The server ended the conversation before anything was begun."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


# -- the envelope: up to here nothing is sent ------------------------------------------------------


def _announce(line: Line, mime: bytes, sender: str, recipients: Sequence[str]) -> list[Turned]:
    """MAIL, RCPT and DATA. Returns who was turned away; raises where there is nothing to send."""
    commands = [_mail(line, mime, sender), *(f"RCPT TO:<{one}>" for one in recipients), "DATA"]
    try:
        ask = _at_once if line.supports("pipelining") else _one_by_one
        return ask(line, commands, sender, recipients)
    except (OSError, smtplib.SMTPException) as failure:
        said = "no answer in time" if "timed out" in str(failure) else "the connection broke"
        raise TryLater("The mail server could not be reached.", said, SOON) from failure


def _mail(line: Line, mime: bytes, sender: str) -> str:
    command = f"MAIL FROM:<{sender}>"
    if line.supports("size"):
        _refuse_too_large(line.esmtp_features["size"], len(mime))
        command += f" SIZE={len(mime)}"
    if mime.isascii():
        return command
    if not line.supports("8bitmime"):
        raise Refused("The mail server takes plain letters only.", "it offers no 8BITMIME")
    return f"{command} BODY=8BITMIME"


def _refuse_too_large(said: str, size: int) -> None:
    most = int(said) if said.strip().isdecimal() else 0  # 0: no limit of its own (RFC 1870)
    if 0 < most < size:
        raise Refused(
            f"The message is too large for the mail server: it takes {most / 1e6:.0f} MB at most.",
            f"SIZE {most}, the message has {size}",
        )


def _at_once(
    line: Line, commands: list[str], sender: str, recipients: Sequence[str]
) -> list[Turned]:
    """All commands in one go, then all replies (RFC 2920)."""
    begun = _begin(line, commands)
    replies = [line.getreply() for _ in recipients]
    data = line.getreply()
    _judge_mail(begun, sender)
    turned = _judge_recipients(replies, recipients, sender)
    _judge_data(data, sender)
    return turned


def _one_by_one(
    line: Line, commands: list[str], sender: str, recipients: Sequence[str]
) -> list[Turned]:
    _judge_mail(_begin(line, commands[:1]), sender)
    turned = _judge_recipients([line.docmd(one) for one in commands[1:-1]], recipients, sender)
    _judge_data(line.docmd(commands[-1]), sender)
    return turned


def _begin(line: Line, commands: list[str]) -> Reply:
    """The reply to MAIL, the first of the commands. Who has hung up meanwhile has begun nothing."""
    try:
        line.write("".join(f"{one}\r\n" for one in commands).encode())
        reply = line.getreply()
    except OSError as failure:  # smtplib's exceptions are OSErrors too
        if "timed out" in str(failure):
            raise
        raise _LetGo("the connection was closed before MAIL") from failure
    if reply[0] == 421:
        raise _LetGo(words_of(*reply))
    return reply


def _judge_mail(reply: Reply, sender: str) -> None:
    code, said = reply
    if code // 100 == 2:
        return
    words = words_of(code, said)
    if code in _NOT_LOGGED_IN:
        raise NeedsSignIn("The mail server wants the password again.", words)
    if code in _TOO_LARGE or code // 100 != 5:
        raise _answer(reply, sender)
    raise _limit(words) or NotAllowed(_may_not(sender), words)


def _judge_recipients(
    replies: Sequence[Reply], recipients: Sequence[str], sender: str
) -> list[Turned]:
    """Who was turned away, where somebody was taken. Raises where nobody was."""
    turned = [
        (email, reply)
        for email, reply in zip(recipients, replies, strict=True)
        if reply[0] // 100 != 2
    ]
    if len(turned) < len(recipients):
        return [Turned(email, words_of(*reply), reply[0] // 100 != 5) for email, reply in turned]
    passing = [reply for _, reply in turned if reply[0] // 100 != 5]
    raise _answer((passing or replies)[0], sender)


def _judge_data(reply: Reply, sender: str) -> None:
    if reply[0] != 354:
        raise _answer(reply, sender)


# -- the message, and what it is answered ----------------------------------------------------------


def _hand_over(line: Line, mime: bytes, sender: str, seconds: float) -> str:
    """The message, then the dot that makes it the server's. Returns its words when it took it."""
    try:
        line.write(_stuffed(mime))
        line.be_in_time()  # this process may have stood still meanwhile
    except OSError as failure:  # the dot was not sent, so there is no message
        words = "the connection broke before the end of the message"
        raise TryLater("The mail server did not take the whole message.", words, SOON) from failure
    line.until(seconds)
    try:
        line.write(b".\r\n")
        reply = line.getreply()
    except (OSError, smtplib.SMTPException) as failure:
        said = "no answer in time" if "timed out" in str(failure) else "the connection broke"
        raise OutcomeUnknown(_UNCLEAR, f"{said} after the end of the message") from failure
    if reply[0] // 100 == 2:
        return words_of(*reply)
    if reply[0] // 100 not in (4, 5):
        raise OutcomeUnknown(_UNCLEAR, f"no reply of SMTP’s: {words_of(*reply)}")
    raise _answer(reply, sender)


_UNCLEAR = "The mail server took the message, but did not say what became of it."


def _stuffed(mime: bytes) -> bytes:
    """With every line that begins with a dot begun with two (RFC 5321, 4.5.2)."""
    stuffed = mime.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed


# -- what a reply means ----------------------------------------------------------------------------

_NOT_LOGGED_IN = (530, 534, 535)
_TOO_LARGE = (552,)
#: Refusals of the sender that come later than MAIL: Postfix's "Sender address rejected: not owned",
#: Exchange's SendAsDenied, Fastmail's "Not authorised to send from", SES's unverified address.
_OF_THE_SENDER = re.compile(
    r"sender address rejected|not owned by user|SendAsDenied|not authori[sz]ed to send"
    r"|sender .{0,30}not (allowed|permitted|verified)|not allowed to send as"
    r"|send as .{0,20}denied|email address is not verified",
    re.I,
)
#: Limits of an hour or a day that are worded as if for ever: Gmail's 5.4.5, cPanel's, Zoho's.
_A_LIMIT = re.compile(
    r"5\.4\.5|daily (user )?(sending|message) (quota|limit)|sending (quota|limit)"
    r"|max(imum)? (emails|messages|defers) (and failures )?per (hour|day)"
    r"|(hourly|daily) limit|unusual sending activity",
    re.I,
)
_TOO_FAST = re.compile(r"rate|too (many|fast|frequent)|throttl|slow down", re.I)


def _answer(reply: Reply, sender: str) -> ProviderAnswer:
    """What a reply that is no yes means, wherever it came. The message was not accepted."""
    code, said = reply
    words = words_of(code, said)
    if code // 100 != 5:  # 4yz, or no reply of SMTP's
        too_fast = bool(_TOO_FAST.search(words))
        return TryLater("The mail server asks us to try later.", words, SOON, too_fast=too_fast)
    if _OF_THE_SENDER.search(words):
        return NotAllowed(_may_not(sender), words)
    if code in _NOT_LOGGED_IN:
        return NeedsSignIn("The mail server wants the password again.", words)
    return _limit(words) or Refused(_REFUSED, words)


_REFUSED = "The mail server refused the message. Its own words stand in the evidence."


def _may_not(sender: str) -> str:
    return f"The mail server does not let this mailbox send as {sender or 'this address'}."


def _limit(words: str) -> TryLater | None:
    if not _A_LIMIT.search(words):
        return None
    return TryLater("The mail server’s limit is reached.", words, AN_HOUR)


def no_connection(failure: Unusable, server: Server) -> ProviderAnswer:
    """What becomes of a message for which no connection came about."""
    return failure.answer(server)


# -- kept-open connections -------------------------------------------------------------------------

_kept: Kept[Line] = Kept(MOST_KEPT, Line.close)


def _take(key: Key, seconds: float) -> Line | None:
    """The connection kept for this log-in, if it still answers, which it does within seconds."""
    line = _kept.take(key)
    if line is None:
        return None
    unused = time.monotonic() - line.used_at
    if unused < ASK_AFTER:
        return line
    if unused < GIVE_UP_AFTER and _still_there(line, seconds):
        return line
    line.close()
    return None


def _still_there(line: Line, seconds: float) -> bool:
    line.until(seconds)
    try:
        return line.docmd("RSET")[0] == 250
    except (OSError, smtplib.SMTPException):
        return False


def forget_connections() -> None:
    """After a fork: the parent's sockets must not be shared."""
    _kept.forget()
