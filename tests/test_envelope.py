"""Whatever is typed into a name, a subject or a file name, the headers are those we gave.

The judge is the standard library's reader, which shares none of the writing code.
"""

import email
import email.policy
import hashlib
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from email.utils import getaddresses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portal.envelope import DISPATCH_HEADER, Attachment, Envelope, Mailable, one_line, seal

OFFICE = Mailable("office@brightspark.example", "Bright Spark Plumbing")
MARY = Mailable("mary.lee@homes.example", "Mary Lee")
HEADERS = ["From", "To", "Cc", "Subject", "Message-ID", DISPATCH_HEADER]
INJECTIONS = [
    "Mary\r\nBcc: thief@evil.example",
    "Mary\nBcc: thief@evil.example",
    "Mary\rBcc: thief@evil.example",
    "Mary\u2028Bcc: thief@evil.example",
    "Mary\x85Bcc: thief@evil.example",
    "Mary\x00\x0b\x0cLee",
    "=?utf-8?q?Mary=0D=0ABcc:_thief@evil.example?=",
    "=?utf-8?b?TWFyeQ0KQmNjOiB0aGllZkBldmlsLmV4YW1wbGU=?=",
    'Mary <thief@evil.example>, "Lee"',
    'Bright, "Spark" Plumbing, Gas & Solar of Newtown, "established 1962" by thief@evil.example',
    "Brïght, Spark & Sons, Plumbing and Gas Fitting Cö <thief@evil.example>, " * 2,
]

words = st.text(st.characters(blacklist_categories=["Cs"]), max_size=150)
addresses = st.from_regex(r"[a-z0-9.+_'-]{1,30}@[a-z0-9-]{1,20}\.example", fullmatch=True)


def sealed(**chosen: Any) -> Envelope:
    given_: dict[str, Any] = {
        "token": "t0ken",
        "message_id": "<t0ken@portal.example>",
        "sender": OFFICE,
        "to": [MARY],
        "cc": [Mailable("sam@homes.example")],
        "subject": "Invoice INV-0042",
        "text": "Hello Mary",
        "html": "<p>Hello Mary</p>",
        "attachments": [],
    }
    return seal(**given_ | chosen)


def read(envelope: Envelope) -> Message:
    """By the older reader: it decodes nothing of itself and folds nothing."""
    return email.message_from_bytes(envelope.mime)


def shown(message: Message, name: str) -> str:
    return str(make_header(decode_header(message[name].replace("\r\n", ""))))


def people(message: Message, name: str) -> list[str]:
    return [address for _, address in getaddresses([message[name].replace("\r\n", "")])]


def own_headers(message: Message) -> list[str]:
    return [name for name in message if not name.startswith(("MIME-", "Content-"))]


@pytest.mark.parametrize("nasty", INJECTIONS)
@pytest.mark.parametrize("where", ["sender", "to", "cc", "subject", "filename"])
def test_no_field_can_add_a_header_or_a_recipient(where: str, nasty: str) -> None:
    chosen: dict[str, Any] = {
        "sender": {"sender": Mailable(OFFICE.email, nasty)},
        "to": {"to": [Mailable(MARY.email, nasty)]},
        "cc": {"cc": [Mailable("sam@homes.example", nasty)]},
        "subject": {"subject": nasty},
        "filename": {"attachments": [Attachment(nasty, "application/pdf", b"%PDF")]},
    }[where]
    envelope = sealed(**chosen)
    message = read(envelope)
    assert own_headers(message) == HEADERS
    assert people(message, "From") == [OFFICE.email]
    assert people(message, "To") == [MARY.email]
    assert people(message, "Cc") == ["sam@homes.example"]
    assert b"\nBcc:" not in envelope.mime
    for part in message.walk():
        assert "Bcc" not in part


@pytest.mark.parametrize(
    "bad",
    [
        "mary@homes.example\r\nBcc: thief@evil.example",
        "mary@homes.example, thief@evil.example",
        "mary@homes.example>\n",
        "mary@homes.example ",
        "mary lee@homes.example",
        "mary@bücher.example",
        "mary",
        "",
    ],
)
def test_what_is_no_address_is_never_sealed(bad: str) -> None:
    for field in ("to", "cc"):
        with pytest.raises(ValueError):
            sealed(**{field: [Mailable(bad)]})
    with pytest.raises(ValueError):
        sealed(sender=Mailable(bad, "Bright Spark"))


@given(words, words, words)
@settings(max_examples=150, deadline=None)
def test_any_name_and_subject_arrive_as_they_were(sender: str, name: str, subject: str) -> None:
    cut = one_line(name)[:200].strip()
    envelope = sealed(
        sender=Mailable(OFFICE.email, sender), to=[Mailable(MARY.email, name)], subject=subject
    )
    message = read(envelope)
    assert own_headers(message) == HEADERS
    assert people(message, "From") == [OFFICE.email]
    assert people(message, "To") == [MARY.email]
    assert _without_space(shown(message, "Subject")) == _without_space(one_line(subject))
    assert _without_space(_display(message, "To")) == _without_space(cut)


def test_long_names_in_every_alphabet_keep_their_spaces() -> None:
    name = "Großküche & Söhne, „Sanitär“ und Heizung in Neustadt an der Weinstraße, Ünïcode Straße"
    subject = "Rechnung für Großküche – fällig am 7. Dezember: 1.240,00 € " * 3
    message = read(sealed(to=[Mailable(MARY.email, name)], subject=subject))
    assert _display(message, "To") == name
    assert shown(message, "Subject") == subject.strip()


@given(st.lists(st.tuples(addresses, words), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_every_recipient_is_there_once_and_in_order(given_: list[tuple[str, str]]) -> None:
    to = [Mailable(address, name) for address, name in given_]
    envelope = sealed(to=to)
    assert people(read(envelope), "To") == [one.email for one in to]
    assert envelope.recipients == (*[one.email for one in to], "sam@homes.example")


@given(words, st.binary(max_size=3000))
@settings(max_examples=60, deadline=None)
def test_attachments_arrive_to_the_byte(filename: str, content: bytes) -> None:
    kinds = ["application/pdf", "image/jpeg", "text/plain"]
    files = [Attachment(filename, kind, content) for kind in kinds]
    parts = [one for one in read(sealed(attachments=files)).walk() if one.get_filename() is not None
             or one.get_content_disposition() == "attachment"]  # fmt: skip
    assert [one.get_content_type() for one in parts] == kinds
    assert [one.get_payload(decode=True) for one in parts] == [content] * 3


@pytest.mark.parametrize(
    "name", ["plan.pdf", "Größe 5½.pdf", "发票 №1.pdf", 'a"b; c.pdf', "x" * 90]
)
def test_file_names_arrive(name: str) -> None:
    envelope = sealed(attachments=[Attachment(name, "application/pdf", b"%PDF")])
    message = email.message_from_bytes(envelope.mime, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert [one.get_filename() for one in message.iter_attachments()] == [name]


def test_text_and_html_arrive_and_no_line_is_too_long() -> None:
    text = "Grüße,\n\nyour “invoice” – 1.240,00 €\n" + "x" * 2000
    envelope = sealed(text=text, html=f"<p>{text}</p>", subject="word " * 300)
    message = email.message_from_bytes(envelope.mime, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    plain, rich = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None and _lines(plain.get_content()) == text
    assert rich is not None and "1.240,00 €" in rich.get_content()
    assert max(map(len, envelope.mime.split(b"\r\n"))) < 998
    assert b"\n" not in envelope.mime.replace(b"\r\n", b"")


def test_the_fingerprint_is_that_of_the_bytes() -> None:
    envelope = sealed()
    assert envelope.sha256 == hashlib.sha256(envelope.mime).hexdigest()
    assert read(envelope)[DISPATCH_HEADER] == envelope.token == "t0ken"


def test_a_plain_name_is_written_plainly() -> None:
    message = read(sealed())
    assert message["From"] == "Bright Spark Plumbing <office@brightspark.example>"
    assert (
        str(Mailable("a@b.example", "Bright\r\nSpark, Ltd")) == '"Bright Spark, Ltd" <a@b.example>'
    )
    assert str(Mailable("a@b.example")) == "a@b.example"


def _display(message: Message, name: str) -> str:
    [(raw, _)] = getaddresses([message[name].replace("\r\n", "")])
    return str(make_header(decode_header(raw)))


def _without_space(text: str) -> str:
    return "".join(text.split())


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").rstrip("\n")
