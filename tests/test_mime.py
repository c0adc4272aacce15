"""A message written here reads just as the one that the standard library would have written.

Both are read by the library's newer reader, which reports every defect it meets.
"""

import email
import email.policy
from email.message import EmailMessage

from hypothesis import given, settings
from hypothesis import strategies as st

from portal.envelope import Attachment, Mailable, one_line, seal

OFFICE = Mailable("office@brightspark.example", "Bright Spark Plumbing")
MARY = Mailable("mary.lee@homes.example", "Mary Lee")
KINDS = ["application/pdf", "image/jpeg", "text/plain", "application/vnd.ms-excel", "audio/x-Odd"]

letters = st.text(st.characters(blacklist_categories=["Cs"]))
#: What boundaries, soft line breaks and the end of SMTP's data are made of.
awkward = st.text(alphabet="=_-. \t\r\nsendwright_mixed0AFé")
texts = st.one_of(letters, awkward)
names = st.one_of(st.text(st.characters(blacklist_categories=["Cs"]), max_size=60), awkward)
files = st.builds(Attachment, names, st.sampled_from(KINDS), st.binary(max_size=400))


def written_by_the_library(text: str, html: str, attached: list[Attachment]) -> bytes:
    message = EmailMessage(policy=email.policy.SMTP)
    message.set_content(text)
    message.add_alternative(html, subtype="html")
    for one in attached:
        maintype, _, subtype = one.content_type.partition("/")
        name = one_line(one.filename).replace("=?", "=_")
        message.add_attachment(one.content, maintype=maintype, subtype=subtype, filename=name)
    return message.as_bytes()


def written_here(text: str, html: str, attached: list[Attachment]) -> bytes:
    return seal(
        token="t0ken",
        message_id="<t0ken@portal.example>",
        sender=OFFICE,
        to=[MARY],
        cc=[],
        subject="Invoice INV-0042",
        text=text,
        html=html,
        attachments=attached,
    ).mime


def parts(mime: bytes) -> list[tuple[object, ...]]:
    """Whatever a reader makes of a message's parts, in order, defects included."""
    message = email.message_from_bytes(mime, policy=email.policy.default)
    return [
        (
            *(one.get_content_type(), one.get_content_disposition(), one.get_filename()),
            (one.get_content_charset() or "utf-8") if one.get_content_maintype() == "text" else "",
            None if one.is_multipart() else one.get_payload(decode=True),
            [type(defect) for defect in one.defects],
        )
        for one in message.walk()
    ]


@given(texts, texts, st.lists(files, max_size=3))
@settings(max_examples=120, deadline=None)
def test_it_reads_as_what_the_library_writes(
    text: str, html: str, attached: list[Attachment]
) -> None:
    theirs = written_by_the_library(text, html, attached)
    assert parts(written_here(text, html, attached)) == parts(theirs)


@given(texts, st.lists(files, max_size=2))
@settings(max_examples=60, deadline=None)
def test_every_line_is_short_and_ends_as_the_standard_says(
    text: str, attached: list[Attachment]
) -> None:
    mime = written_here(text, text, attached)
    assert max(map(len, mime.split(b"\r\n"))) <= 998
    bare = mime.replace(b"\r\n", b"")
    assert b"\r" not in bare and b"\n" not in bare and mime.isascii()
    assert b"\r\n.\r\n" not in mime
