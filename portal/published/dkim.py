"""DKIM: the keys with which a domain's mail is signed, as published (RFC 6376, RFC 8301). Pure."""

import base64
import binascii
from dataclasses import dataclass
from enum import StrEnum

from portal.published.answers import EMPTY, Answer

#: Receivers refuse a shorter key; a shorter one than the second is no longer advised (RFC 8301).
LEAST_BITS, GOOD_BITS = 1024, 2048
#: How a key tells that it is none: the one of Ed25519 has always as many bytes.
ED25519_BYTES = 32


class Fault(StrEnum):
    """What is wrong with a selector; the first that applies."""

    NONE = ""
    UNREAD = "unread"
    MISSING = "missing"
    DANGLING = "dangling"  # forwarded (CNAME) to a name that has no key
    SEVERAL = "several"
    BROKEN = "broken"
    REVOKED = "revoked"
    WEAK = "weak"
    SHORT = "short"  # good, yet not what is advised
    TESTING = "testing"


#: Those with which a signature is of no use.
FATAL = {Fault.MISSING, Fault.DANGLING, Fault.SEVERAL, Fault.BROKEN, Fault.REVOKED, Fault.WEAK}


@dataclass(frozen=True)
class Key:
    """A published key: bits 0 where it cannot be told."""

    selector: str
    fault: Fault
    kind: str = "rsa"
    bits: int = 0
    through: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        return self.fault in (Fault.NONE, Fault.SHORT, Fault.TESTING)


def tags(text: str) -> dict[str, str]:
    """A list of tags, "v=DKIM1; p=…", by name. The first of a name counts; never fails."""
    found: dict[str, str] = {}
    for part in text.split(";"):
        name, sign, value = part.partition("=")
        if sign and name.strip():
            found.setdefault(name.strip().lower(), value.strip())
    return found


def is_key(text: str) -> bool:
    """Whether a TXT record is a key, rather than something else that stands there."""
    known = tags(text)
    return "p" in known and known.get("v", "DKIM1") == "DKIM1"


def read(selector: str, answer: Answer) -> Key:
    """What one selector's TXT answer comes to."""
    if not answer.is_certain:
        return Key(selector, Fault.UNREAD)
    if answer.kind in EMPTY:
        fault = Fault.DANGLING if answer.through else Fault.MISSING
        return Key(selector, fault, through=answer.through)
    keys = [text for text in answer.values if is_key(text)]
    if len(keys) != 1:
        return Key(selector, Fault.SEVERAL if keys else Fault.BROKEN, through=answer.through)
    return _judged(selector, tags(keys[0]), answer.through)


def _judged(selector: str, known: dict[str, str], through: tuple[str, ...]) -> Key:
    kind = known.get("k", "rsa").lower()
    raw = _decoded(known["p"])
    services = known.get("s", "*").split(":")
    usable = kind in ("rsa", "ed25519") and ("*" in services or "email" in services)
    bits = 0 if raw is None else rsa_bits(raw) if kind == "rsa" else 8 * len(raw)
    if not known["p"]:
        fault = Fault.REVOKED
    elif raw is None or not usable or not bits or (kind != "rsa" and len(raw) != ED25519_BYTES):
        fault = Fault.BROKEN
    elif kind == "rsa" and bits < LEAST_BITS:
        fault = Fault.WEAK
    elif "y" in known.get("t", "").replace(" ", "").split(":"):
        fault = Fault.TESTING
    else:
        fault = Fault.SHORT if kind == "rsa" and bits < GOOD_BITS else Fault.NONE
    return Key(selector, fault, kind, bits, through)


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None


def rsa_bits(der: bytes) -> int:
    """The length of an RSA key's modulus; 0 for what is no such key.

    Both forms are in use: SubjectPublicKeyInfo, and the bare RSAPublicKey within it.
    """
    outer = _inside(der, 0x30)
    if outer is None:
        return 0
    algorithm = _inside(outer, 0x30)
    if algorithm is not None:
        string = _inside(outer[_size(outer) :], 0x03)
        outer = _inside(string[1:], 0x30) if string else None
    modulus = _inside(outer, 0x02) if outer else None
    return int.from_bytes(modulus, "big").bit_length() if modulus else 0


def _inside(der: bytes, tag: int) -> bytes | None:
    """What the first element holds, if it is of this tag and all there."""
    if len(der) < 2 or der[0] != tag:
        return None
    start, length = _measure(der)
    return der[start : start + length] if start and start + length <= len(der) else None


def _size(der: bytes) -> int:
    return sum(_measure(der))


def _measure(der: bytes) -> tuple[int, int]:
    """Where the first element's contents begin, and how long they are; (0, 0) if cut off."""
    if len(der) < 2:
        return 0, 0
    if der[1] < 0x80:
        return 2, der[1]
    count = der[1] & 0x7F
    if not 1 <= count <= 4 or len(der) < 2 + count:
        return 0, 0
    return 2 + count, int.from_bytes(der[2 : 2 + count], "big")


def name_of(selector: str, domain: str) -> str:
    return f"{selector}._domainkey.{domain}"


def exists(key: Key) -> bool:
    """Whether anything at all is published for it."""
    return key.fault not in (Fault.MISSING, Fault.UNREAD)
