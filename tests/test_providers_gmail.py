"""Every answer of Gmail's is sorted by what happens next, and no doubt is taken for a refusal.

The rows are those of Google's guides "Resolve errors" and "Usage limits", in the shapes they are
seen in.
"""

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from portal.envelope import (
    Gone,
    NeedsPermission,
    NeedsSignIn,
    OperatorProblem,
    OutcomeUnknown,
    ProviderAnswer,
    Refused,
    TryLater,
)
from portal.pace import UNITS
from portal.providers import wire
from portal.providers.gmail import (
    BY_NAME,
    DROP_DRAFT,
    FETCH,
    FULL_SCOPES,
    LIST_ADDRESSES,
    LIST_DRAFTS,
    LIST_SENT,
    LONGEST_WAIT,
    MAKE_DRAFT,
    PUT_DRAFT,
    READ_DRAFT,
    READ_SENT,
    SEND,
    SEND_DRAFT,
    Call,
    Gmail,
    address_of,
    answer_for,
)
from portal.providers.wire import IN_BETWEEN

LIMIT = "Gmail's sending limit is reached for now."
NOT_OURS = "Google does not let this portal in"
CARRYING = [MAKE_DRAFT, PUT_DRAFT, SEND_DRAFT, SEND]
ASKING = [LIST_ADDRESSES, LIST_SENT, READ_SENT, LIST_DRAFTS, READ_DRAFT, DROP_DRAFT, FETCH]
ASKING += BY_NAME.values()
DISABLED = [{"reason": "SERVICE_DISABLED"}]
SCOPE_DETAIL = [{"reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT"}]
QUOTA = (
    "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute per user' of service"
)
# status, reason, message, extra, class, sentence, seconds to keep away
ROWS: list[tuple[int, str, str, dict[str, Any], type[ProviderAnswer], str, float | None]] = [
    (400, "invalidArgument", "Invalid To header", {}, Refused, "Invalid To header", None),
    (400, "invalidArgument", "Recipient address required", {}, Refused, "Recipient address", None),
    (400, "badRequest", "Bad Request", {}, Refused, "Gmail refused the message", None),
    (400, "failedPrecondition", "Mail service not enabled", {}, NeedsSignIn, "no Gmail", None),
    (401, "authError", "Invalid Credentials", {}, NeedsSignIn, "no longer accepts", None),
    (403, "insufficientPermissions", "Insufficient Permission", {}, NeedsPermission, "grant", None),
    (403, "forbidden", "Request had insufficient authentication scopes.",
     {"details": SCOPE_DETAIL}, NeedsPermission, "permission", None),
    (403, "domainPolicy", "The domain administrators have disabled Gmail apps.", {},
     NeedsPermission, "administrator", None),
    (403, "accessNotConfigured", "Gmail API has not been used in project 1 or it is disabled.",
     {"details": DISABLED}, OperatorProblem, NOT_OURS, None),
    (403, "forbidden", "Forbidden", {}, OperatorProblem, NOT_OURS, None),
    (403, "dailyLimitExceeded", "Daily Limit Exceeded", {}, TryLater, LIMIT, 3600),
    (403, "rateLimitExceeded", "Rate Limit Exceeded", {}, TryLater, LIMIT, 30),
    (403, "userRateLimitExceeded", "User Rate Limit Exceeded", {}, TryLater, LIMIT, 30),
    (429, "userRateLimitExceeded", "User Rate Limit Exceeded", {}, TryLater, LIMIT, 30),
    (429, "rateLimitExceeded", QUOTA, {"status": "RESOURCE_EXHAUSTED"}, TryLater, LIMIT, 30),
    (429, "", "User-rate limit exceeded (Mail sending)", {}, TryLater, LIMIT, 3600),
    (429, "rateLimitExceeded", "Too many concurrent requests for user", {}, TryLater, LIMIT, 30),
    (404, "notFound", "Requested entity was not found.", {}, Gone, "no longer has it", None),
    (413, "uploadTooLarge", "Request too large", {}, Refused, "Request too large", None),
]  # fmt: skip


def error(code: int, reason: str, message: str, **extra: Any) -> bytes:
    first = {"domain": "global", "reason": reason, "message": message}
    body = {"code": code, "message": message, "errors": [first], **extra}
    return json.dumps({"error": body}).encode()


@pytest.mark.parametrize(("status", "reason", "message", "extra", "kind", "said", "after"), ROWS)
def test_every_refusal_is_sorted_by_what_happens_next(
    status: int, reason: str, message: str, extra: dict[str, Any], kind: type[ProviderAnswer],
    said: str, after: float | None,
) -> None:  # fmt: skip
    calls = CARRYING if kind is Refused else CARRYING + ASKING
    for call in calls:
        answer = answer_for(status, error(status, reason, message, **extra), call)
        assert type(answer) is kind, call
        assert said in answer.message and answer.message.endswith((".", message))
        assert message in answer.words and str(status) in answer.words
        if isinstance(answer, TryLater):
            assert answer.after == after


@pytest.mark.parametrize("call", ASKING)
@pytest.mark.parametrize("status", [400, 409, 413, 422])
def test_what_carries_no_message_says_nothing_of_one(status: int, call: Call) -> None:
    answer = answer_for(status, error(status, "invalidArgument", "Invalid id value"), call)
    assert isinstance(answer, TryLater) and answer.after == 300


def test_every_call_says_what_it_costs_and_what_it_may_do() -> None:
    assert {call.name for call in CARRYING + ASKING} == UNITS.keys()
    assert [call.name for call in CARRYING if call.sends] == ["drafts.send", "messages.send"]
    assert not [call.name for call in ASKING if call.carries or call.sends]


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
@pytest.mark.parametrize("body", [error(500, "backendError", "Backend Error"), b"<html>", b""])
def test_an_error_of_googles_own_leaves_a_sending_unclear(status: int, body: bytes) -> None:
    assert type(answer_for(status, body, SEND_DRAFT)) is OutcomeUnknown
    assert type(answer_for(status, body, MAKE_DRAFT)) is TryLater


NOT_GOOGLES = [
    *(b"", b"<html>Sign in</html>", b"[]", b"{}", b'{"error":"x"}', b'{"error":{}}', b"\xff\xfe"),
    *(b'{"error":{"code":"x"}}', b'{"error":{"code":403,"details":["x"]}}'),
]


@pytest.mark.parametrize("body", NOT_GOOGLES)
def test_whatever_stands_between_says_nothing_of_a_message_or_a_mailbox(body: bytes) -> None:
    for status in (302, 429):  # by their meaning, what was asked was not done
        assert_later(answer_for(status, body, SEND_DRAFT))
    for status in (400, 401, 403, 404, 407, 413):
        assert type(answer_for(status, body, SEND_DRAFT)) is OutcomeUnknown, status
        assert type(answer_for(status, body, SEND)) is OutcomeUnknown, status
        for call in (MAKE_DRAFT, LIST_ADDRESSES, READ_DRAFT):
            assert_later(answer_for(status, body, call))


def assert_later(answer: ProviderAnswer) -> None:
    assert isinstance(answer, TryLater)
    assert (answer.message, answer.after, answer.too_fast) == (IN_BETWEEN, 300, False)


def test_only_what_was_too_fast_slows_a_mailbox_down() -> None:
    said = {
        QUOTA: (False, True),
        "User Rate Limit Exceeded": (False, True),
        "User-rate limit exceeded (Mail sending)": (False, False),
        "Too many concurrent requests for user": (False, False),
        "User-rate limit exceeded.  Retry after 2126-09-11T20:00:00.000Z": (True, False),
    }
    for message, expected in said.items():
        reason = "" if "Mail sending" in message else "userRateLimitExceeded"
        answer = answer_for(429, error(429, reason, message), SEND_DRAFT)
        assert isinstance(answer, TryLater)
        assert (answer.exact, answer.too_fast) == expected, message


def wait_named(moment: str) -> float:
    said = f"User-rate limit exceeded.  Retry after {moment}"
    answer = answer_for(403, error(403, "rateLimitExceeded", said), SEND_DRAFT)
    assert isinstance(answer, TryLater)
    return answer.after


def test_the_moment_that_gmail_names_is_waited_for() -> None:
    soon = datetime.now(UTC) + timedelta(minutes=15)
    assert 899 < wait_named(soon.strftime("%Y-%m-%dT%H:%M:%S.000Z")) < 903
    assert 1 <= wait_named("2020-01-01T00:00:00.000Z") <= 2
    assert wait_named("9999-01-01T00:00:00.000Z") == LONGEST_WAIT
    for unreadable in ("later", "2026-13-45T99:00:00Z", "2026-11-23T10:00:00"):
        assert wait_named(unreadable) == 30


@pytest.mark.parametrize(
    ("header", "address"),
    [
        ("office@brightspark.example", "office@brightspark.example"),
        ("Bright Spark <Office@BrightSpark.example>", "office@brightspark.example"),
        ('"Spark, Bright" <office@brightspark.example>', "office@brightspark.example"),
        ("Spark, Bright & Söhne <office@brightspark.example>", "office@brightspark.example"),
        ('"a <thief@evil.example>" <office@brightspark.example>', "office@brightspark.example"),
        ("=?utf-8?q?S=C3=B6hne?= <office@brightspark.example>", "office@brightspark.example"),
        ("", ""),
    ],
)
def test_the_address_in_a_from_is_read_however_the_name_is_written(
    header: str, address: str
) -> None:
    assert address_of(header) == address


# -- over the wire -----


def provider(url: str, timeout: float = 2) -> Gmail:
    return Gmail(url, set(FULL_SCOPES), lambda refused: "token", timeout)


def test_what_could_not_be_reached_was_certainly_not_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}", f"https://127.0.0.1:{port}"):
        with pytest.raises(TryLater):
            provider(url).send(b"mail", "office@brightspark.example", ["mary.lee@homes.example"])


def test_a_certificate_that_does_not_fit_is_found_before_anything_is_asked(tmp_path: Path) -> None:
    asked: list[ssl.SSLSocket] = []
    with tls_server(tmp_path, asked.append) as (url, _), pytest.raises(TryLater):
        provider(url).send(b"mail", "office@brightspark.example", ["mary.lee@homes.example"])
    assert asked == []


@pytest.mark.parametrize("kind", ["noise", "cut", "half"])
def test_tls_that_breaks_after_the_request_leaves_it_unclear(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request was read to its end: to call that "not reached" would send it again."""
    received: list[bytes] = []

    def answer(peer: ssl.SSLSocket) -> None:
        received.append(peer.recv(65536))
        if kind == "half":
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n{")
        raw = socket.socket(fileno=peer.detach())
        if kind != "cut":
            raw.sendall(b"no TLS at all\r\n" * 4)
        raw.close()

    with tls_server(tmp_path, answer) as (url, certificate):
        trusting(certificate, monkeypatch)
        with pytest.raises(OutcomeUnknown):
            provider(url).send(b"mail", "office@brightspark.example", ["mary.lee@homes.example"])
    assert received and received[0].startswith(b"POST ")


def test_no_request_is_ever_repeated_and_no_redirection_followed() -> None:
    asked: list[bytes] = []
    away = b"HTTP/1.1 307 Away\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    for answers in (away, b""):
        with http_server(asked, answers) as url, pytest.raises((TryLater, OutcomeUnknown)):
            provider(url).send(b"mail", "office@brightspark.example", ["mary.lee@homes.example"])
    assert len(asked) == 2


def test_a_proxy_that_asks_for_a_sign_in_of_its_own_gets_nothing_twice() -> None:
    asked: list[bytes] = []
    proxy = b"HTTP/1.1 401 No\r\nContent-Length: 6\r\n\r\n<html>"
    with http_server(asked, proxy) as url, pytest.raises(OutcomeUnknown):
        provider(url).send(b"mail", "office@brightspark.example", ["mary.lee@homes.example"])
    assert len(asked) == 1


def test_each_call_is_booked_before_it_is_made() -> None:
    asked: list[bytes] = []
    booked: list[tuple[str, int]] = []
    body = b'{"id": "r1"}'
    closes = "Connection: close\r\n"  # else the next call may go to what is just closing
    head = f"HTTP/1.1 200 OK\r\n{closes}Content-Length: {len(body)}\r\n\r\n".encode()
    with http_server(asked, head + body) as url:
        gmail = provider(url)
        gmail.spend = lambda name: booked.append((name, len(asked)))
        gmail.send_draft(gmail.create_draft(b"mail"))
        assert gmail.has_draft("r1")
        assert booked == [("drafts.create", 0), ("drafts.send", 1), ("drafts.get", 2)]
        gmail.spend = give_up
        with pytest.raises(TryLater, match="no time"):
            gmail.send(b"mail", "office@brightspark.example", ["mary.lee@homes.example"])
    assert len(asked) == 3


def give_up(name: str) -> None:
    raise TryLater(f"There is no time for {name}.")


def test_an_answer_without_an_id_is_no_receipt() -> None:
    for body in (b"{}", b"[]", b"ok", b'{"id":""}'):
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        with http_server([], head + body) as url, pytest.raises(OutcomeUnknown):
            provider(url).send(b"mail", "office@brightspark.example", ["mary.lee@homes.example"])


def trusting(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire.certifi, "where", lambda: str(certificate))
    monkeypatch.setattr(wire, "_pool", None)


@contextlib.contextmanager
def http_server(asked: list[bytes], answer: bytes) -> Iterator[str]:
    """Reads each request, answers with these bytes, closes."""

    def act(peer: socket.socket) -> None:
        asked.append(peer.recv(65536))
        peer.sendall(answer)
        peer.close()

    with accepting(lambda peer: act(peer)) as port:
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def tls_server(home: Path, act: Callable[[ssl.SSLSocket], object]) -> Iterator[tuple[str, Path]]:
    certificate, key = self_signed(home)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def greet(peer: socket.socket) -> None:
        with contextlib.suppress(OSError):
            act(context.wrap_socket(peer, server_side=True))

    with accepting(greet) as port:
        yield f"https://127.0.0.1:{port}", certificate


@contextlib.contextmanager
def accepting(act: Callable[[socket.socket], None]) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        done = threading.Event()

        def serve() -> None:
            while not done.is_set():
                with contextlib.suppress(TimeoutError):
                    peer, _ = listener.accept()
                    peer.settimeout(5)
                    act(peer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            done.set()
            thread.join(5)


def self_signed(home: Path) -> tuple[Path, Path]:
    import ipaddress

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "local")])
    now = datetime.now(UTC)
    there = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(there, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (home / "cert.pem").write_bytes(made.public_bytes(pem))
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    (home / "key.pem").write_bytes(key.private_bytes(pem, form, plain))
    return home / "cert.pem", home / "key.pem"


@pytest.mark.parametrize("told", ["", "yesterday", "Mon, 99 Nov 2026 99:99:99 GMT", "é"])
def test_a_date_that_is_none_says_nothing_of_the_clock(told: str) -> None:
    assert wire.clock_ahead(told, datetime.now(UTC)) is None


def test_the_clock_of_who_answered_is_known_from_its_date() -> None:
    for date in ("Mon, 23 Nov 2099 12:00:00 GMT", "Mon, 23 Nov 2099 12:00:00 -0000"):
        ahead = wire.clock_ahead(date, datetime.now(UTC))
        assert ahead is not None and datetime.now(UTC) + ahead > datetime(2099, 11, 23, tzinfo=UTC)
