"""Torture: what no mail should look like, and some does."""

from tests.incoming.mails import OFFICE

REPORT = (
    b"From: MAILER-DAEMON@mx.homes.example\r\nReturn-Path: <>\r\nSubject: failure notice\r\n"
    b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n"
    b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.homes.example\r\n\r\n"
)
MARY_FAILED = (
    b"Final-Recipient: rfc822; mary.lee@homes.example\r\nAction: failed\r\nStatus: 5.1.1\r\n"
)
TEXT = (
    b"From: MAILER-DAEMON@mx.homes.example\r\nReturn-Path: <>\r\nSubject: failure notice\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
)
#: What is repeated to make a careless search endless.
PUMPS = (
    *("user ", "a.", "a@", "a@b.", "<", "=?", "=?utf-8?q?", "(", "message ", "sender not ", "550 "),
    *("5.1.", "exceeded ", "@", " ", "\n", "original message ", "> ", "https://", "said ", "&#9"),
    *("<style>", "your message ", "0", "漢", "message-id: <", "relay ", "-", "host unknown"),
)


def _nested(levels: int) -> bytes:
    part = b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n"
    return b"".join(part % (level, level) for level in range(levels))


def _parts(boundary_of: bytes, count: int) -> bytes:
    return b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + boundary_of * count


MONSTERS = {
    "nothing": b"",
    "one byte": b"\0",
    "no headers": b"\r\n\r\nhello",
    "headers alone": b"Subject: Hello",
    "nested boundaries": _nested(20_000),
    "one boundary for every level": _parts(
        b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n", 10_000
    ),
    "a hundred thousand parts": _parts(b"--b\r\n\r\nx\r\n", 100_000),
    "a million headers": b"X-A: b\r\n" * 1_000_000 + b"\r\nhello",
    "one header of a million lines": b"X-A: b\r\n" + b" c\r\n" * 1_000_000 + b"\r\nhello",
    "thirty megabytes": TEXT + b"x" * 30_000_000,
    "thirty megabytes before the report": TEXT[:-2] + b"X-Long: " + b"x" * 30_000_000 + REPORT,
    "a hundred thousand recipients": REPORT + (MARY_FAILED + b"\r\n") * 100_000,
    "an unknown charset": TEXT.replace(b"utf-8", b"x-klingon") + "naïve".encode(),
    "a charset that is code": TEXT.replace(b"utf-8", b"unicode_escape") + b"\\N{" * 1_000,
    "a charset that takes apart": TEXT.replace(b"utf-8", b"punycode") + b"a-" * 5_000,
    "broken base64": TEXT[:-2] + b"Content-Transfer-Encoding: base64\r\n\r\n=A=B===\xff" * 50,
    "broken quoted-printable": TEXT[:-2]
    + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n=ZZ=\r\n==9",
    "an entity of ten thousand digits": TEXT.replace(b"plain", b"html")
    + b"&#"
    + b"9" * 10_000
    + b";",
    "encoded words without end": b"Subject: " + b"=?utf-8?b?" * 5_000 + b"\r\n\r\n",
    "an encoded word that breaks lines": b"Subject: =?utf-8?q?a=0D=0ABcc:_x?=\r\n\r\nHello",
    "parameters in pieces": b"Content-Type: multipart/mixed; "
    + b"".join(b"boundary*%d*=%%41;" % number for number in range(500))
    + b"\r\n\r\n--AAAA\r\n",
    "parameters without end": b'Content-Type: text/plain; name="' + b'\\"' * 50_000 + b"\r\n\r\n",
    "8-bit headers": "Subject: Grüße\r\nFrom: Søren <søren@nordic.example>\r\n\r\n".encode(
        "latin-1"
    ),
    "NULs": REPORT.replace(b" ", b"\0") + MARY_FAILED.replace(b"m", b"\0"),
    "carriage returns alone": (REPORT + MARY_FAILED).replace(b"\r\n", b"\r"),
    "a date beyond time": b"Date: Mon, 99 Nov 999999999 99:99:99 +9999\r\n\r\nHello",
    "a report of itself": REPORT + b"Content-Type: message/delivery-status\r\n" * 1_000,
    "surrogates": b"Subject: =?utf-16?b?2AA=?=\r\n\r\nHello",
    "no sender at all": b"To: " + OFFICE.encode() + b"\r\nSubject: Undeliverable\r\n\r\n550 no",
    "ten thousand addresses": TEXT + b"\r\n".join(b"u%d@h.example" % one for one in range(10_000)),
}
