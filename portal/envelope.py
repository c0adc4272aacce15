"""The envelope: one message, frozen. And what a provider may answer to it.

An envelope is built once, when somebody presses Send, and never changes afterwards: whatever
happens to the document, the policy or the person, the bytes that leave are the bytes kept here.
"""

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.utils import formataddr

from portal import mime

#: Gmail refuses uploads above 35 MiB; its own limit for attachments is 25 MB before encoding.
LARGEST_MESSAGE = 35 * 1024 * 1024
DISPATCH_HEADER = "X-Sendwright-Dispatch"
LONGEST_NAME = 200
_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9.-]+")


@dataclass(frozen=True)
class Mailable:
    """An address with the name it is shown under."""

    email: str
    name: str = ""

    def __str__(self) -> str:
        return str(self.header()) if self.name else self.email

    def header(self) -> Address:
        local, _, domain = self.email.rpartition("@")
        return Address(one_line(self.name), local, domain)


@dataclass(frozen=True)
class Attachment:
    """A file that travels with the message."""

    filename: str
    content_type: str
    content: bytes


@dataclass(frozen=True)
class Envelope:
    """What is handed to a provider: the bytes, and the few facts needed to judge its answer."""

    token: str
    sender: Mailable
    recipients: tuple[str, ...]
    mime: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.mime).hexdigest()


def seal(
    *,
    token: str,
    message_id: str,
    sender: Mailable,
    to: list[Mailable],
    cc: list[Mailable],
    subject: str,
    text: str,
    html: str,
    attachments: list[Attachment],
) -> Envelope:
    """Build the frozen message (RFC 5322, CRLF). Raises ValueError for what is no address.

    Names, subject and file names come out on one line, whatever was in them.
    """
    headers = [
        ("From", _addresses([sender])),
        ("To", _addresses(to)),
        *([("Cc", _addresses(cc))] if cc else []),
        ("Subject", mime.encoded(one_line(subject), "Subject")),
        ("Message-ID", one_line(message_id)),
        (DISPATCH_HEADER, one_line(token)),
    ]
    letter = [mime.text_part("plain", text), mime.text_part("html", html)]
    body = mime.multipart("alternative", letter)
    if attachments:
        body = mime.multipart("mixed", [body, *map(_file, attachments)])
    everyone = tuple(one.email for one in [*to, *cc])
    return Envelope(token, sender, everyone, mime.message(headers, body))


def one_line(text: str) -> str:
    """The text without line breaks and control characters, its spaces single."""
    kept = (" " if unicodedata.category(one) == "Cc" else one for one in text)
    return " ".join("".join(kept).split())


def _file(one: Attachment) -> bytes:
    # Left as it is, an encoded word in a file's name is decoded, line breaks and all.
    name = one_line(one.filename).replace("=?", "=_")
    return mime.file_part(name, one.content_type, one.content)


def _addresses(people: list[Mailable]) -> str:
    return ",\r\n ".join(_address(one) for one in people)


def _address(one: Mailable) -> str:
    if not _ADDRESS.fullmatch(one.email):
        raise ValueError(f"{one.email!r} is not an address")
    name = one_line(one.name)[:LONGEST_NAME]
    if mime.is_plain(name):
        return formataddr((name, one.email))
    return f"{mime.encoded(name)} <{one.email}>"


@dataclass(frozen=True)
class Turned:
    """A recipient whom the provider did not take, while it took the message for the others.

    words: what it said. passing: it asked to be tried again later.
    """

    email: str
    words: str
    passing: bool = False


@dataclass(frozen=True)
class Receipt:
    """The provider accepted the message. That is not delivery.

    message_id: by which its sent copy is found, nothing where there is none. turned_away: for whom
    it was not accepted. words: the provider's own, where they say more than the id. rests: so many
    seconds it asks for before the next message.
    """

    message_id: str
    thread_id: str = ""
    turned_away: tuple[Turned, ...] = ()
    words: str = ""
    rests: float = 0


@dataclass(frozen=True)
class SentCopy:
    """What the provider's own sent copy says about itself. at: when the provider took it; token:
    our dispatch header, nothing where it is not ours."""

    message_id: str
    sender: str
    internet_message_id: str
    thread_id: str = ""
    at: datetime | None = None
    token: str = ""
    to: str = ""
    subject: str = ""


class ProviderAnswer(Exception):
    """An answer that is no receipt, sorted by what happens next.

    message: one sentence for the office. words: what the provider said, for the evidence.
    """

    def __init__(self, message: str, words: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.words = words


class Refused(ProviderAnswer):
    """The provider will never take this message as it is. Not accepted, for certain."""


class TryLater(ProviderAnswer):
    """Certainly not accepted now; worth another try after `after` seconds.

    exact: the provider named that moment itself, and whoever comes sooner waits longer. too_fast:
    it was more than the provider lets one mailbox do in a minute.
    """

    def __init__(
        self,
        message: str,
        words: str = "",
        after: float = 30,
        *,
        exact: bool = False,
        too_fast: bool = False,
    ) -> None:
        super().__init__(message, words)
        self.after, self.exact, self.too_fast = after, exact, too_fast


class OnItsWay(TryLater):
    """What was taken to be sent has not left yet: its copy is looked for again after a moment."""


class NeedsSignIn(ProviderAnswer):
    """The mailbox's permission is gone until its owner signs in again. Not accepted."""


class NeedsPermission(ProviderAnswer):
    """The mailbox did not grant what this call needs. Not accepted."""


class NotAllowed(ProviderAnswer):
    """The provider does not let this mailbox send as this address. Not accepted."""


class OperatorProblem(ProviderAnswer):
    """The provider refuses this installation itself, or its set-up. Not accepted."""


class OutcomeUnknown(ProviderAnswer):
    """The message may or may not have been accepted; only evidence can tell.

    rests: so many seconds the mailbox is left alone, where the next message would fare no better.
    """

    def __init__(self, message: str, words: str = "", *, rests: float = 0) -> None:
        super().__init__(message, words)
        self.rests = rests


class Gone(ProviderAnswer):
    """What was asked for is not there (any more)."""
