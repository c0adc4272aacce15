"""Codes: what a server's status stands for (RFC 3463, its registry at IANA, and Exchange's own).

A vague code is one that servers use for everything; there, words that are understood decide.
"""

import re

from portal.incoming.reasons import Reason

#: An enhanced status, not a piece of a version or an internet address.
STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d]|\.\d)")
#: A reply of SMTP at the beginning of what a server said, or after a colon, quote or bracket.
REPLY = re.compile(r"(?:^|[\s:>'\"(\[#;-])([45][0-5]\d)(?=[\s-]|$)")

#: Subject and detail, whatever the class; those of three digits are Exchange's.
_MEANINGS = {
    "1.1": Reason.NO_SUCH_ADDRESS,
    "1.2": Reason.NO_SUCH_DOMAIN,
    "1.3": Reason.NO_SUCH_ADDRESS,
    "1.4": Reason.NO_SUCH_ADDRESS,
    "1.6": Reason.ADDRESS_CLOSED,
    "1.7": Reason.SENDER_NOT_ALLOWED,
    "1.8": Reason.SENDER_NOT_ALLOWED,
    "1.9": Reason.SENDER_NOT_ALLOWED,
    "1.10": Reason.NO_SUCH_ADDRESS,
    "1.20": Reason.SENDER_NOT_ALLOWED,
    "1.90": Reason.LIMIT,
    "2.1": Reason.ADDRESS_CLOSED,
    "2.2": Reason.MAILBOX_FULL,
    "2.3": Reason.TOO_LARGE,
    "2.121": Reason.TEMPORARY,
    "2.122": Reason.TEMPORARY,
    "3.1": Reason.MAILBOX_FULL,
    "3.2": Reason.TEMPORARY,
    "3.4": Reason.TOO_LARGE,
    "4.1": Reason.GAVE_UP,
    "4.2": Reason.GAVE_UP,
    "4.3": Reason.GAVE_UP,
    "4.4": Reason.NO_SUCH_DOMAIN,
    "4.5": Reason.TEMPORARY,
    "4.6": Reason.LOOP,
    "4.7": Reason.GAVE_UP,
    "4.14": Reason.LOOP,
    "4.300": Reason.GAVE_UP,
    "4.310": Reason.NO_SUCH_DOMAIN,
    "4.312": Reason.GAVE_UP,
    "4.316": Reason.GAVE_UP,
    "4.317": Reason.GAVE_UP,
    "6.1": Reason.CONTENT,
    "6.2": Reason.CONTENT,
    "6.3": Reason.CONTENT,
    "7.5": Reason.SENDER_NOT_ALLOWED,
    "7.8": Reason.SENDER_NOT_ALLOWED,
    "7.9": Reason.BLOCKED,
    "7.12": Reason.RESTRICTED,
    "7.17": Reason.ADDRESS_CLOSED,
    "7.18": Reason.ADDRESS_CLOSED,
    "7.23": Reason.SENDER_NOT_ALLOWED,
    "7.57": Reason.SENDER_NOT_ALLOWED,
    "7.60": Reason.SENDER_NOT_ALLOWED,
    "7.64": Reason.RELAY_DENIED,
    "7.123": Reason.RESTRICTED,
    "7.124": Reason.RESTRICTED,
    "7.133": Reason.RESTRICTED,
    "7.134": Reason.RESTRICTED,
    "7.135": Reason.RESTRICTED,
    "7.136": Reason.RESTRICTED,
    "7.193": Reason.RESTRICTED,
    "7.500": Reason.TEMPORARY,
    "7.509": Reason.SENDER_NOT_ALLOWED,
    "7.705": Reason.LIMIT,
    "7.708": Reason.LIMIT,
    "7.750": Reason.LIMIT,
    **{f"7.{detail}": Reason.SENDER_NOT_ALLOWED for detail in range(20, 30)},
}
#: Used for everything by somebody: understood words come first, and this is what is left.
_VAGUE = {
    "1.0": Reason.UNKNOWN,
    "2.0": Reason.UNKNOWN,
    "2.4": Reason.UNKNOWN,
    "4.0": Reason.UNKNOWN,
    "5.0": Reason.UNKNOWN,
    "6.0": Reason.CONTENT,
    "7.0": Reason.BLOCKED,
    "7.1": Reason.BLOCKED,
    "7.2": Reason.RESTRICTED,
    "7.3": Reason.BLOCKED,
    "7.7": Reason.BLOCKED,
}
#: By its first part where the rest is new to us.
_SUBJECTS = {"2": Reason.UNKNOWN, "6": Reason.CONTENT, "7": Reason.BLOCKED}


def statuses(text: str) -> list[str]:
    """The statuses that stand in a text, in their order."""
    return [".".join(found) for found in STATUS.findall(text)]


def is_exact(status: str) -> bool:
    """Whether it stands for one thing."""
    return status.partition(".")[2] in _MEANINGS


def meaning(status: str) -> Reason:
    """What a status stands for by itself."""
    rest = status.partition(".")[2]
    first = _SUBJECTS.get(rest.partition(".")[0], Reason.UNKNOWN)
    return _MEANINGS.get(rest) or _VAGUE.get(rest) or first
