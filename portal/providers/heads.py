"""Head: the headers of a message that came in, read from its bytes. Pure.

Anybody may have written it: whatever it holds, this ends soon and raises nothing.
"""

import re

#: So much of a message is looked through for its headers, and so many of them are kept.
LONGEST_HEAD, MOST_HEADERS = 256 * 1024, 1000
_END = re.compile(rb"\r?\n\r?\n")
_LINE = re.compile(rb"\r\n|\n|\r")
_NAME = re.compile(rb"[!-9;-~]+")


def headers_of(raw: bytes) -> tuple[tuple[str, str], ...]:
    """Each header as it stands, in their order: unfolded, its encoded words left as they are."""
    found: list[list[bytes]] = []
    for line in _LINE.split(_head(raw)):
        if line[:1] in (b" ", b"\t") and found:
            found[-1][1] += b" " + line.strip()
            continue
        name, colon, value = line.partition(b":")
        if colon and _NAME.fullmatch(name.rstrip()):
            found.append([name.rstrip(), value.strip()])
        if len(found) > MOST_HEADERS:
            break
    return tuple((_text(name), _text(value)) for name, value in found[:MOST_HEADERS])


def _head(raw: bytes) -> bytes:
    if raw[:1] == b"\n" or raw[:2] == b"\r\n":
        return b""
    end = _END.search(raw, 0, LONGEST_HEAD)
    return raw[: end.start() if end else LONGEST_HEAD]


def _text(value: bytes) -> str:
    return value.replace(b"\0", b"").decode("utf-8", "replace")
