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

    pdf: the same of the PDF inside; None where none went along, or it was not looked at.
    """

    message: bool
    pdf: bool | None

    @property
    def whole(self) -> bool:
        return self.message and self.pdf is not False


def seal_of(one: Dispatch, *, paper: bool = True) -> Seal:
    """Hash the stored bytes anew. Reads the whole message; paper: takes the PDF out of it too."""
    message = hashlib.sha256(one.mime).hexdigest() == one.mime_sha256
    if not (paper and one.pdf_sha256):
        return Seal(message, None)
    found = paper_of(one)
    drawn = found.content if found else b""
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
