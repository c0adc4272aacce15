"""What comes in at a mail server is read, whatever the server says: soon, and in plain words.

Held against a local IMAP server, and against servers that say what no server should.
"""

import contextlib
import imaplib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.envelope import NeedsPermission, OperatorProblem, ProviderAnswer, TryLater
from portal.hosts import entries
from portal.providers import imap
from portal.providers.heads import MOST_HEADERS, headers_of
from portal.providers.imap import Inbox, Mark, letters_of, numbers_in, refused_log_in
from portal.providers.obstacles import SENTENCES, Problem
from portal.providers.provider import INCOMING_LARGEST
from portal.providers.submission import Secret, Security, Server, Terms, Unusable
from portal.sandbox.letterbox import Letterbox

OFFICE, PASSWORD = "office@brightspark.example", "the office's password"
SINCE = datetime.now(UTC) - timedelta(days=3)
#: Seconds; so that a server that says nothing is given up soon.
HASTE = 0.4


def inbox(
    letterbox: Letterbox,
    *,
    security: Security = Security.TLS,
    password: str = PASSWORD,
    token: str = "",
    port: int = 0,
    timeout: float = 5.0,
) -> Inbox:
    port = port or (letterbox.tls_port if security is Security.TLS else letterbox.port)
    server = Server("127.0.0.1", port, security, OFFICE)
    terms = Terms(entries(f"127.0.0.1:{port}"), (), letterbox.authority)
    return Inbox(server, lambda: Secret(password, token), terms, timeout)


def answer(box: Inbox) -> ProviderAnswer:
    with pytest.raises(ProviderAnswer) as caught:
        box.look("", SINCE)
    return caught.value


# Logging in


@pytest.mark.parametrize("security", [Security.TLS, Security.STARTTLS])
def test_an_inbox_is_read_behind_tls_by_either_door(
    letterbox: Letterbox, security: Security
) -> None:
    letterbox.boxes.deliver(OFFICE, b"Subject: Hello\r\n\r\nHello\r\n")
    box = inbox(letterbox, security=security)
    (one,) = box.look("", SINCE).ids
    assert box.fetch(one, whole=True).raw == b"Subject: Hello\r\n\r\nHello\r\n"
    box.check(5.0)


def test_a_token_opens_it_like_a_password_of_any_letters(letterbox: Letterbox) -> None:
    letterbox.boxes.add(OFFICE, "пароль with “quotes”", token="the token")
    assert inbox(letterbox, token="the token").look("", SINCE).mark
    assert inbox(letterbox, password="пароль with “quotes”").look("", SINCE).mark
    assert isinstance(answer(inbox(letterbox, token="an old one")), NeedsPermission)


def test_a_wrong_password_stops_the_reading_and_not_the_sending(letterbox: Letterbox) -> None:
    found = answer(inbox(letterbox, password="wrong"))
    assert isinstance(found, NeedsPermission) and "AUTHENTICATIONFAILED" in found.words
    with pytest.raises(Unusable) as caught:
        inbox(letterbox, password="wrong").check(5.0)
    assert caught.value.problem is Problem.WRONG_PASSWORD


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("b'[AUTHENTICATIONFAILED] Invalid credentials (Failure)'", Problem.WRONG_PASSWORD),
        ("[ALERT] Application-specific password required", Problem.APP_PASSWORD),
        ("[UNAVAILABLE] Temporary authentication failure", Problem.BUSY),
        ("[LIMIT] Too many simultaneous connections", Problem.BUSY),
        ("LOGIN failed: basic auth is disabled", Problem.PASSWORDS_OFF),
        ("IMAP access is disabled for this account", Problem.READING_OFF),
    ],
)
def test_each_refusal_has_its_own_sentence(said: str, problem: Problem) -> None:
    found = refused_log_in(said)
    assert found.problem is problem and found.problem in SENTENCES
    assert not found.words.startswith("b'")


def test_only_ports_of_mail_and_hosts_of_the_open_internet_are_asked(letterbox: Letterbox) -> None:
    server = Server("127.0.0.1", letterbox.tls_port, Security.TLS, OFFICE)
    box = Inbox(server, lambda: Secret(PASSWORD), Terms((), (), letterbox.authority), 5)
    assert isinstance(answer(box), OperatorProblem)
    assert letterbox.boxes.connections == 0


def test_nobody_is_told_the_password_before_the_certificate_was_checked(
    letterbox: Letterbox,
) -> None:
    port = letterbox.tls_port
    server = Server("127.0.0.1", port, Security.TLS, OFFICE)
    box = Inbox(server, lambda: Secret(PASSWORD), Terms(entries(f"127.0.0.1:{port}")), 5)
    assert "certificate" in answer(box).message
    open_door = Inbox(
        Server("127.0.0.1", letterbox.port, Security.CLEAR, OFFICE),
        lambda: Secret(PASSWORD),
        Terms(entries(f"127.0.0.1:{letterbox.port}")),
        5,
    )
    assert "no encryption" in answer(open_door).message
    assert letterbox.boxes.log_ins == 0


# Keeping the connection


def test_one_connection_serves_many_looks(letterbox: Letterbox) -> None:
    letterbox.boxes.deliver(OFFICE, *[b"Subject: One\r\n\r\n"] * 5)
    mark = inbox(letterbox).look("", SINCE)
    for one in mark.ids:
        inbox(letterbox).fetch(one, whole=False)
    assert letterbox.boxes.log_ins == 1


@pytest.mark.parametrize("how", ["", "half", "NO [LIMIT] later"])
def test_a_connection_that_was_kept_too_long_is_opened_again(
    letterbox: Letterbox, how: str
) -> None:
    letterbox.boxes.deliver(OFFICE, b"Subject: One\r\n\r\n" + b"text" * 1000)
    box = inbox(letterbox)
    (one,) = box.look("", SINCE).ids
    letterbox.boxes.spoil("FETCH", how)
    if how.startswith("NO"):
        with pytest.raises(TryLater):
            box.fetch(one, whole=True)
    assert box.fetch(one, whole=True).raw is not None
    assert letterbox.boxes.log_ins == (1 if how.startswith("NO") else 2)


# Servers that are none


@contextlib.contextmanager
def saying(letterbox: Letterbox, talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server behind TLS that says what it is told to; its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(letterbox.authority.parent / "good.pem")
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError, IndexError):
            while True:
                raw = listener.accept()[0]
                with contextlib.suppress(OSError), context.wrap_socket(raw, server_side=True) as it:
                    talk(it)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        listener.close()


def silence(_it: socket.socket) -> None:
    time.sleep(5 * HASTE)


def trickle(it: socket.socket) -> None:
    for _ in range(100):
        it.sendall(b"*")
        time.sleep(HASTE / 4)


def endless(it: socket.socket) -> None:
    for _ in range(100_000):
        it.sendall(b"* OK " + b"x" * 65536)


def enormous(it: socket.socket) -> None:
    it.sendall(b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hello\r\n")
    while line := it.recv(4096):
        tag = line.split()[0]
        if b"CAPABILITY" in line:
            it.sendall(b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n" + tag + b" OK done\r\n")
        elif b"AUTHENTICATE" in line:
            it.sendall(b"+ \r\n")
            it.recv(4096)
            it.sendall(tag + b" OK done\r\n")
        else:
            it.sendall(b"* 1 FETCH (BODY[] {99999999999}\r\n" + b"x" * 1000)


def web(it: socket.socket) -> None:
    it.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n<html>")


@pytest.mark.parametrize("talk", [silence, trickle, endless, enormous, web])
def test_a_server_that_makes_no_sense_is_given_up(
    letterbox: Letterbox, talk: Callable[[socket.socket], None]
) -> None:
    with saying(letterbox, talk) as port:
        found = answer(inbox(letterbox, port=port, timeout=HASTE))
    assert isinstance(found, TryLater) and found.message.endswith(".")


def test_an_endless_answer_is_not_read_to_its_end(letterbox: Letterbox) -> None:
    with saying(letterbox, endless) as port:
        found = answer(inbox(letterbox, port=port, timeout=30))
    assert "more than is wanted" in found.words


def test_what_is_said_before_tls_counts_for_nothing_after_it(letterbox: Letterbox) -> None:
    """A line put behind the server's own by somebody on the way, before encryption began."""
    listener, heard = socket.create_server(("127.0.0.1", 0)), list[bytes]()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(letterbox.authority.parent / "good.pem")

    def talk() -> None:
        with contextlib.suppress(OSError, IndexError):
            it = listener.accept()[0]
            it.sendall(b"* OK [CAPABILITY IMAP4rev1 STARTTLS] hello\r\n")
            while line := it.recv(4096):
                heard.append(line)
                tag = line.split()[0]
                if b"STARTTLS" in line:
                    it.sendall(tag + b" OK begin\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n")
                    it = context.wrap_socket(it, server_side=True)
                else:
                    it.sendall(b"* CAPABILITY IMAP4rev1 STARTTLS\r\n" + tag + b" OK done\r\n")

    threading.Thread(target=talk, daemon=True).start()
    with listener:
        port = int(listener.getsockname()[1])
        found = answer(inbox(letterbox, security=Security.STARTTLS, port=port, timeout=HASTE * 3))
    assert isinstance(found, OperatorProblem), found.words
    assert b"STARTTLS" in heard[-1]  # nothing was said any more


# What servers answer, pure


def test_answers_are_read_in_whatever_order_they_are_written() -> None:
    at = b'INTERNALDATE "17-Jul-2026 02:44:25 +1000"'
    answers = [
        (b"1 (BODY[]<0> {5}", b"hello"),
        b" UID 7 RFC822.SIZE 5 " + at + b")",
        b"2 (FLAGS (\\Seen))",
        b'3 (UID 8 RFC822.SIZE 9 BODY[HEADER]<0> "Sub\\"ject")',
        b"4 (UID 9 BODY[] NIL RFC822.SIZE 0)",
        None,
    ]
    first, second, third = letters_of(answers)
    assert (first.uid, first.size, first.data) == (7, 5, b"hello")
    assert first.at == datetime(2026, 7, 16, 16, 44, 25, tzinfo=UTC)
    assert (second.uid, second.data, second.at) == (8, b'Sub"ject', None)
    assert (third.uid, third.data) == (9, b"")


PIECE: st.SearchStrategy[Any] = (
    st.binary(max_size=80) | st.none() | st.tuples(st.binary(), st.binary())
)


@given(st.lists(PIECE, max_size=6), st.text(max_size=30))
def test_no_answer_makes_it_stumble(pieces: list[Any], text: str) -> None:
    for one in letters_of(pieces):
        assert one.uid >= 0
    numbers_in([one for one in pieces if isinstance(one, bytes)])
    mark = Mark.read(text)
    assert mark is None or Mark.read(str(mark)) == mark


@given(st.integers(0, 2**32), st.integers(0, 2**32), st.integers(0, 2**32))
def test_a_mark_is_read_as_it_was_written(validity: int, uid: int, listing: int) -> None:
    assert Mark.read(str(Mark(validity, uid, listing))) == Mark(validity, uid, listing)


@given(st.binary(max_size=400))
def test_headers_are_read_of_anything(raw: bytes) -> None:
    for name, value in headers_of(raw):
        assert name.isascii() and not {"\n", "\0"} & {*name, *value}


def test_headers_are_read_as_the_standard_library_reads_them() -> None:
    raw = b"From: a@b\r\nSubject: One\r\n and two\r\nFrom: c@d\r\n\r\nBody: no\r\n"
    known = [(name, " ".join(value.split())) for name, value in message_from_bytes(raw).items()]
    assert list(headers_of(raw)) == known and len(known) == 3
    assert headers_of(b"\r\nBody: no") == headers_of(b"") == ()
    assert len(headers_of(b"X: y\r\n" * 50_000)) == MOST_HEADERS


# The local server itself, asked by somebody else's client


def test_the_local_letterbox_speaks_imap(letterbox: Letterbox) -> None:
    letterbox.boxes.deliver(OFFICE, b"Subject: Hello\r\n\r\nThere\r\n")
    trust = ssl.create_default_context(cafile=str(letterbox.authority))
    with imaplib.IMAP4_SSL("127.0.0.1", letterbox.tls_port, ssl_context=trust) as client:
        client.login(OFFICE, PASSWORD)
        assert client.select("INBOX", readonly=True) == ("OK", [b"1"])
        assert client.uid("SEARCH", "SINCE", "1-Jan-2020")[1] == [b"1"]
        assert client.uid("SEARCH", "UID", "9:*")[1] == [b"1"]  # the last, whatever its number
        found = client.uid("FETCH", "1", "(RFC822.SIZE BODY.PEEK[HEADER])")[1]
        assert found[0][1] == b"Subject: Hello\r\n\r\n"
        assert client.noop()[0] == "OK"
    assert INCOMING_LARGEST > 0 and imap.MOST_SAID > INCOMING_LARGEST
