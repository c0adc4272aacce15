"""The envelope: one message, frozen. And what a provider may answer to it.

An envelope is built once, when somebody presses Send, and never changes afterwards: whatever
happens to the document, the policy or the person, the bytes that leave are the bytes kept here.
"""

import hashlib
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

#: Gmail refuses uploads above 35 MiB; its own limit for attachments is 25 MB before encoding.
LARGEST_MESSAGE = 35 * 1024 * 1024
DISPATCH_HEADER = "X-Sendwright-Dispatch"


@dataclass(frozen=True)
class Mailable:
    """An address with the name it is shown under."""

    email: str
    name: str = ""

    def __str__(self) -> str:
        return str(self.header()) if self.name else self.email

    def header(self) -> Address:
        local, _, domain = self.email.rpartition("@")
        return Address(self.name, local, domain)


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
    """Build the frozen message (RFC 5322, CRLF). Raises ValueError on a line break in a header."""
    message = EmailMessage(policy=SMTP)
    message["From"] = sender.header()
    message["To"] = [one.header() for one in to]
    if cc:
        message["Cc"] = [one.header() for one in cc]
    message["Subject"] = subject
    message["Message-ID"] = message_id
    message[DISPATCH_HEADER] = token
    message.set_content(text)
    message.add_alternative(html, subtype="html")
    for one in attachments:
        maintype, _, subtype = one.content_type.partition("/")
        message.add_attachment(
            one.content, maintype=maintype, subtype=subtype, filename=one.filename
        )
    everyone = tuple(one.email for one in [*to, *cc])
    return Envelope(token, sender, everyone, message.as_bytes())


@dataclass(frozen=True)
class Receipt:
    """The provider accepted the message. That is not delivery."""

    message_id: str
    thread_id: str = ""


@dataclass(frozen=True)
class SentCopy:
    """What the provider's own sent copy says about itself."""

    message_id: str
    sender: str
    internet_message_id: str
    thread_id: str = ""


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
    """Certainly not accepted now; worth another try after `after` seconds."""

    def __init__(self, message: str, words: str = "", after: float = 30) -> None:
        super().__init__(message, words)
        self.after = after


class NeedsSignIn(ProviderAnswer):
    """The mailbox's permission is gone until its owner signs in again. Not accepted."""


class NeedsPermission(ProviderAnswer):
    """The mailbox did not grant what this call needs. Not accepted."""


class OutcomeUnknown(ProviderAnswer):
    """The message may or may not have been accepted; only evidence can tell."""


class Gone(ProviderAnswer):
    """What was asked for is not there (any more)."""
