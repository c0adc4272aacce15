"""MIME: the parts of a message as bytes (RFC 2045 to 2047, CRLF throughout).

The standard library builds a tree of objects, encodes it and reads it over once more before it
writes it; for a message of one letter and some files that is most of the cost of freezing one.
Here each part is written once, the long work (base64, quoted-printable) by C. Its reader is the
judge: tests hold what is written here equal to what the library's own writer makes.
"""

import re
from binascii import b2a_base64, b2a_qp
from collections.abc import Iterable, Sequence
from email.header import Header
from email.message import MIMEPart
from email.policy import SMTP

BASE64_LINE = 76
#: A file's name and type that stand in a header as they are.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._ -]{0,50}")
_PLAIN_TYPE = re.compile(r"[a-z]+/[a-z0-9.+-]{1,100}")


def encoded(value: str, name: str = "") -> str:
    """A header's value of one line, folded, in encoded words where letters or looks demand it.

    name: the header's, to leave room for it in the first line.
    """
    charset = "us-ascii" if is_plain(value) else "utf-8"
    return Header(value, charset, header_name=name or None).encode(linesep="\r\n")


def is_plain(value: str) -> bool:
    """Whether it needs no encoding, and cannot be taken for something encoded."""
    return value.isascii() and "=?" not in value


def text_part(subtype: str, text: str) -> bytes:
    """A part of text, quoted-printable; its last line ends, whether or not it did."""
    lines = b"\n".join(text.encode().splitlines()) + b"\n"
    return b"".join(
        (
            b'Content-Type: text/%s; charset="utf-8"\r\n' % subtype.encode(),
            b"Content-Transfer-Encoding: quoted-printable\r\n\r\n",
            b2a_qp(lines).replace(b"\n", b"\r\n"),
        )
    )


def file_part(filename: str, content_type: str, content: bytes) -> bytes:
    """A file that travels along, under a name of one line."""
    body = b2a_base64(content, newline=False)
    lines = [body[at : at + BASE64_LINE] for at in range(0, len(body), BASE64_LINE)]
    return b"\r\n".join((_file_head(filename, content_type), *lines, b""))


def multipart(subtype: str, parts: Sequence[bytes]) -> bytes:
    """Several parts as one. None of them may hold a line that could be a boundary: what text_part
    and file_part write cannot, since `=_` stands in neither encoding."""
    boundary = b"=_sendwright_%s" % subtype.encode()
    between = b"--%s\r\n" % boundary
    return b"".join(
        (
            b'Content-Type: multipart/%s; boundary="%s"\r\n\r\n' % (subtype.encode(), boundary),
            *(between + part + b"\r\n" for part in parts),
            b"--%s--\r\n" % boundary,
        )
    )


def message(headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
    """The whole: headers whose values are folded already, and the part they head."""
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return b"%sMIME-Version: 1.0\r\n%s" % (head.encode("ascii"), body)


def _file_head(filename: str, content_type: str) -> bytes:
    """The part's headers and the empty line; what is not plain is put as the library puts it."""
    if _PLAIN_NAME.fullmatch(filename) and _PLAIN_TYPE.fullmatch(content_type):
        head = f"Content-Type: {content_type}\r\nContent-Transfer-Encoding: base64\r\n"
        return f'{head}Content-Disposition: attachment; filename="{filename}"\r\n'.encode()
    maintype, _, subtype = content_type.partition("/")
    part = MIMEPart(policy=SMTP)
    part.set_content(b"", maintype=maintype, subtype=subtype, filename=filename)
    return part.as_bytes().rstrip() + b"\r\n"
