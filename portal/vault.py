"""Secrets at rest: AES-GCM under a named key, bound to the row they belong to.

A sealed secret is  version (1 byte) · length of the key's name (1 byte) · name · nonce (12) · text.
The row's name is authenticated with it, so a ciphertext moved to another row does not open.
"""

import secrets
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION = 1
NONCE_BYTES = 12


class CannotOpen(Exception):
    """The secret was sealed for another row, with a key that is not here, or was altered."""


def seal(keys: Mapping[str, bytes], row: str, secret: str) -> bytes:
    """Encrypt for one row under the first key."""
    name, key = next(iter(keys.items()))
    nonce = secrets.token_bytes(NONCE_BYTES)
    label = name.encode()
    head = bytes([VERSION, len(label)]) + label
    return head + nonce + AESGCM(key).encrypt(nonce, secret.encode(), _bound(head, row))


def open_sealed(keys: Mapping[str, bytes], row: str, sealed: bytes) -> str:
    """Decrypt what seal() made for this row. Raises CannotOpen."""
    name = key_name(sealed)
    if name not in keys:
        raise CannotOpen(f"TOKEN_KEYS has no key named {name}")
    end = 2 + sealed[1]
    head, rest = sealed[:end], sealed[end:]
    try:
        text = AESGCM(keys[name]).decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], _bound(head, row))
    except (InvalidTag, ValueError):  # ValueError: too short for a nonce
        raise CannotOpen("the secret does not belong to this row, or was altered") from None
    return text.decode()


def key_name(sealed: bytes) -> str:
    """The name of the key a secret was sealed with."""
    if len(sealed) < 2 or sealed[0] != VERSION:
        raise CannotOpen("not a sealed secret")
    return sealed[2 : 2 + sealed[1]].decode(errors="replace")


def _bound(head: bytes, row: str) -> bytes:
    return head + row.encode()
