"""Letter: what was understood of a mail that came in."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from portal.incoming.reasons import Reason, Verdict

#: So much is kept of what a server said (characters), and of an address or a subject.
LONGEST_WORDS, LONGEST_LINE = 500, 300


class Sort(StrEnum):
    """What kind of mail it is, as far as what left is concerned."""

    BOUNCE = "bounce"  # somebody's copy was not delivered, and will not be
    DELAY = "delay"  # a server is still trying
    REPLY = "reply"  # a person answers
    AUTO_REPLY = "auto_reply"  # away, or "we have received your mail"
    CHALLENGE = "challenge"  # held back until the sender proves to be a person
    LIMIT = "limit"  # the sender's own provider sends no more for now
    DELIVERED = "delivered"  # a server or a reader says that it arrived
    OTHER = "other"


@dataclass(frozen=True)
class Failed:
    """One recipient whose copy came back. status: RFC 3463 ("5.1.1"), empty where none was given;
    words: the server's own."""

    email: str
    verdict: Verdict
    status: str
    reason: Reason
    words: str


@dataclass(frozen=True)
class Clues:
    """By what the mail it is about can be found.

    message_ids: of that mail, best first, each with its angle brackets; tokens: our own dispatch
    headers in what was returned; recipients: whom it was for, in lower case; about: when it left.
    """

    message_ids: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    thread_id: str = ""
    recipients: tuple[str, ...] = ()
    about: datetime | None = None


@dataclass(frozen=True)
class Letter:
    """failed: of a bounce or a limit, may be empty where no address was named. how: which reader
    decided. loops: a machine wrote it, so no answer may go to it."""

    sort: Sort
    sender: str
    sender_name: str
    subject: str
    at: datetime | None
    failed: tuple[Failed, ...]
    clues: Clues
    read: Literal["headers", "whole"]
    how: str
    loops: bool
