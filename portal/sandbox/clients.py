"""Client: the app that signs people in: how it proves itself, and where it may return to."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from urllib.parse import unquote, urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")


def basic_credentials(header: str) -> tuple[str, str] | None:
    """Client id and secret of an Authorization header; ValueError where it cannot be read."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, _, secret = base64.b64decode(encoded).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as problem:
        raise ValueError("unreadable credentials") from problem
    return unquote(client_id), unquote(secret)


def same(told: str, known: str) -> bool:
    return hmac.compare_digest(told.encode(), known.encode())


def proves(verifier: str, challenge: str, how: str | None) -> bool:
    """Whether this is the verifier whose challenge came with the request (RFC 7636)."""
    told = verifier
    if how == "S256":
        digest = hashlib.sha256(verifier.encode()).digest()
        told = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return same(told, challenge)


def may_return_to(uri: str, registered: tuple[str, ...]) -> bool:
    if uri in registered:
        return True
    parts = urlsplit(uri)
    return parts.scheme == "http" and (parts.hostname or "") in LOOPBACK and not parts.fragment
