"""Wear: what becomes of a mail on its way through gateways, groups and old mail programs."""

import random
import re
from collections.abc import Callable

Wear = Callable[[bytes], bytes]


def tagged(raw: bytes) -> bytes:
    """A gateway warns of strangers."""
    return re.sub(rb"(?m)^Subject: ", b"Subject: [EXTERNAL] ", raw, count=1)


def stripped(raw: bytes) -> bytes:
    """Somebody thought that these headers were for machines alone."""
    head, end, body = raw.partition(b"\r\n\r\n")
    kept = re.sub(rb"(?m)^(Return-Path|Auto-Submitted|X-Autoreply):.*\r\n", b"", head + b"\r\n")
    return kept[:-2] + end + body


def unix_lines(raw: bytes) -> bytes:
    return raw.replace(b"\r\n", b"\n")


def cut_short(raw: bytes) -> bytes:
    """The last boundary is lost."""
    return raw[:-6] if raw.endswith(b"--\r\n") else raw


def from_an_mbox(raw: bytes) -> bytes:
    return b"From MAILER-DAEMON Mon Nov  2 09:00:00 2026\r\n" + raw


def small_letters(raw: bytes) -> bytes:
    """Header names in small letters, values folded."""
    head, end, body = raw.partition(b"\r\n\r\n")
    small = re.sub(rb"(?m)^([A-Za-z-]+): ", lambda one: one[1].lower() + b":\r\n\t", head)
    return small + end + body


def through_a_group(raw: bytes) -> bytes:
    list_of = b"List-ID: <office.brightspark.example>\r\nPrecedence: list\r\n"
    return list_of + b"List-Unsubscribe: <mailto:office+leave@brightspark.example>\r\n" + raw


def far_travelled(raw: bytes) -> bytes:
    return b"Received: from a.example by b.example with ESMTP; Mon, 2 Nov 2026\r\n" * 30 + raw


WEARS: tuple[Wear, ...] = (
    *(tagged, stripped, unix_lines, cut_short, from_an_mbox, small_letters, through_a_group),
    far_travelled,
)


def worn(raw: bytes, chance: random.Random) -> bytes:
    """One mail in three with one or two marks of its way."""
    if chance.randrange(3):
        return raw
    for wear in chance.sample(WEARS, chance.randint(1, 2)):
        raw = wear(raw)
    return raw
