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
    OutcomeUnknown,
    ProviderAnswer,
    Refused,
    TryLater,
)
from portal.providers import gmail
from portal.providers.gmail import FULL_SCOPES, LONGEST_WAIT, Gmail, address_of, answer_for

LIMIT = "Gmail's sending limit is reached for now."
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


@pytest.mark.parametrize("sends", [True, False])
@pytest.mark.parametrize(("status", "reason", "message", "extra", "kind", "said", "after"), ROWS)
def test_every_refusal_is_sorted_by_what_happens_next(
    status: int, reason: str, message: str, extra: dict[str, Any], kind: type[ProviderAnswer],
    said: str, after: float | None, sends: bool,
) -> None:  # fmt: skip
    answer = answer_for(status, error(status, reason, message, **extra), sends)
    assert type(answer) is kind
    assert said in answer.message and answer.message.endswith((".", message))
    assert message in answer.words and str(status) in answer.words
    if isinstance(answer, TryLater):
        assert answer.after == after


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
@pytest.mark.parametrize("body", [error(500, "backendError", "Backend Error"), b"<html>", b""])
def test_an_error_of_googles_own_leaves_a_sending_unclear(status: int, body: bytes) -> None:
    assert type(answer_for(status, body, sends=True)) is OutcomeUnknown
    assert type(answer_for(status, body, sends=False)) is TryLater


@pytest.mark.parametrize("body", [b"", b"<html>Sign in</html>", b"[]", b"{}", b'{"error":"x"}',
                                  b'{"error":{"errors":{}}}', b'{"error":{"details":["x"]}}',
                                  b"\xff\xfe"])  # fmt: skip
def test_a_body_that_is_no_error_of_googles_is_sorted_by_its_status(body: bytes) -> None:
    assert type(answer_for(302, body, sends=True)) is TryLater
    assert type(answer_for(401, body, sends=True)) is NeedsSignIn
    assert type(answer_for(429, body, sends=True)) is TryLater
    assert type(answer_for(400, body, sends=True)) is Refused


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
        answer = answer_for(429, error(429, reason, message), sends=True)
        assert isinstance(answer, TryLater)
        assert (answer.exact, answer.too_fast) == expected, message


def wait_named(moment: str) -> float:
    said = f"User-rate limit exceeded.  Retry after {moment}"
    answer = answer_for(403, error(403, "rateLimitExceeded", said), sends=True)
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
            provider(url).send(b"mail")


def test_a_certificate_that_does_not_fit_is_found_before_anything_is_asked(tmp_path: Path) -> None:
    asked: list[ssl.SSLSocket] = []
    with tls_server(tmp_path, asked.append) as (url, _), pytest.raises(TryLater):
        provider(url).send(b"mail")
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
            provider(url).send(b"mail")
    assert received and received[0].startswith(b"POST ")


def test_no_request_is_ever_repeated_and_no_redirection_followed() -> None:
    asked: list[bytes] = []
    away = b"HTTP/1.1 307 Away\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    for answers in (away, b""):
        with http_server(asked, answers) as url, pytest.raises((TryLater, OutcomeUnknown)):
            provider(url).send(b"mail")
    assert len(asked) == 2


def test_an_answer_without_an_id_is_no_receipt() -> None:
    for body in (b"{}", b"[]", b"ok", b'{"id":""}'):
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        with http_server([], head + body) as url, pytest.raises(OutcomeUnknown):
            provider(url).send(b"mail")


def trusting(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gmail.certifi, "where", lambda: str(certificate))
    monkeypatch.setattr(gmail, "_pool", None)


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
