"""Proving: whether what is kept of a sending is what was frozen when somebody pressed Send."""

import hashlib
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from portal.dispatch.tables import Dispatch
from portal.envelope import Attachment


@dataclass(frozen=True)
class Seal:
    """Whether the stored bytes, hashed anew, have the hash that was noted.

    pdf: the same of the PDF inside; None where none went along.
    """

    message: bool
    pdf: bool | None

    @property
    def whole(self) -> bool:
        return self.message and self.pdf is not False


def seal_of(one: Dispatch) -> Seal:
    """Hash the stored bytes anew. Reads the whole message."""
    message = hashlib.sha256(one.mime).hexdigest() == one.mime_sha256
    if not one.pdf_sha256:
        return Seal(message, None)
    paper = paper_of(one)
    drawn = paper.content if paper else b""
    return Seal(message, hashlib.sha256(drawn).hexdigest() == one.pdf_sha256)


def paper_of(one: Dispatch) -> Attachment | None:
    """The PDF that went along, taken out of the frozen message; None where there was none."""
    frozen = message_from_bytes(one.mime, policy=default)
    assert isinstance(frozen, EmailMessage)
    for part in frozen.iter_attachments():
        name = part.get_filename("")
        if name.endswith(".pdf"):
            return Attachment(name, part.get_content_type(), part.get_content())
    return None
