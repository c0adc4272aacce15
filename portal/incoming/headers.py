"""Headers: their values as text, addresses, moments and Message-IDs, however badly written."""

import base64
import binascii
import codecs
import quopri
import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

from portal.incoming.letter import LONGEST_LINE

#: A header as name and value, the value unfolded.
Fields = Sequence[tuple[str, str]]
#: Of each list of Message-IDs, so many from its end count.
MOST_IDS = 30
#: So much of one value is looked at (characters).
LONGEST_VALUE = 20_000
_LONGEST_PARAMETERS = 2_000

#: Letters of every alphabet (RFC 6531).
_ADDRESS = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+")
#: How some write it: SMTP=mary@homes.example.
_LABEL = re.compile(r"(?i)(smtp|rfc822|to|orcpt|name|email|for|user)=")
_ID = re.compile(r"<[^<>\s]{1,300}>")
_WORD = re.compile(r"=\?([\w:.+*-]{1,40})\?([bBqQ])\?([^?]{0,2000})\?=")
_BETWEEN = re.compile(r"(\?=)[ \t\r\n]{1,20}(?==\?)")
_PARAMETER = re.compile(r';\s{0,9}([\w!.*-]{1,40})\s{0,9}=\s{0,9}(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))')
#: What decodes text and nothing else: Python's own list holds some that take a text to pieces.
_CHARSETS = re.compile(
    r"utf-?(8|7|16|16le|16be)|(us-)?ascii|iso-?8859-?\d\d?|windows-?12\d\d|cp\d{3,4}|koi8-[rut]"
    r"|gb2312|gbk|gb18030|big5|euc-?(jp|kr)|shift[_-]jis|iso-2022-(jp|kr)(-\d)?|ks_c_5601-1987"
    r"|latin-?\d|macintosh|tis-620"
)


def first(fields: Fields, name: str) -> str:
    """The value of the first header of this name (lower case), empty where there is none."""
    return next((value for key, value in fields if key.lower() == name), "")


def every(fields: Fields, name: str) -> list[str]:
    return [value for key, value in fields if key.lower() == name]


def as_text(data: bytes, charset: str = "") -> str:
    """Bytes as text in the charset they claim, else in one that fits. Never fails."""
    for name in (_known(charset), "utf-8"):
        try:
            return data.decode(name)
        except (LookupError, ValueError):
            continue
    return data.decode("latin-1" if not _known(charset) else _known(charset), "replace")


@lru_cache(maxsize=256)
def _known(charset: str) -> str:
    name = charset.strip().strip("\"'").lower()
    if not _CHARSETS.fullmatch(name):
        return "utf-8"
    try:
        return codecs.lookup(name).name
    except LookupError:
        return "utf-8"


def words(value: str, most: int = LONGEST_LINE) -> str:
    """A value with its encoded words (RFC 2047) read, as one_line() makes it."""
    value = value[:LONGEST_VALUE]
    if "=?" in value:
        value = _WORD.sub(_read_word, _BETWEEN.sub(r"\1", value))
    return one_line(value, most)


def _read_word(found: re.Match[str]) -> str:
    charset, how, text = found[1].partition("*")[0], found[2].lower(), found[3]
    try:
        data = text.encode("ascii")
        if how == "q":
            return as_text(quopri.decodestring(data.replace(b"_", b"=20")), charset)
        return as_text(base64.b64decode(data + b"=" * (-len(data) % 4)), charset)
    except (UnicodeEncodeError, binascii.Error, ValueError):
        return found[0]


def one_line(text: str, most: int = LONGEST_LINE) -> str:
    """The text on one line, without anything that shows nothing, at most so many characters."""
    text = text[: most * 4]
    if not text.isprintable():
        text = "".join(" " if _is_control(one) else one for one in text)
    return " ".join(text.split())[:most]


def _is_control(one: str) -> bool:
    return unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def address_in(value: str) -> str:
    """The first address in a value, in angle brackets by preference; empty where there is none."""
    value = value[:LONGEST_VALUE]
    if "@" not in value:
        return ""
    inside = value.rpartition("<")[2].partition(">")[0]
    found = _ADDRESS.search(inside) or _ADDRESS.search(value)
    return tidy(found[0]) if found else ""


def addresses(text: str) -> list[str]:
    """Every address in a text, each once, in their order."""
    if "@" not in text:
        return []
    return list(dict.fromkeys(tidy(one) for one in _ADDRESS.findall(text)))


def tidy(address: str) -> str:
    """An address without what stood around it, its domain in lower case."""
    local, _, domain = _LABEL.sub("", address).strip("'`*/.").rpartition("@")
    return f"{local}@{domain.lower()}" if local else ""


def sender(value: str) -> tuple[str, str]:
    """The address in lower case and the name of a From."""
    email = address_in(value).lower()
    name = words(value.partition("<")[0] if "<" in value else _comment(value))
    return email, name.strip(" \"'") if name.lower() != email else ""


def _comment(value: str) -> str:
    return value.partition("(")[2].rpartition(")")[0] if "(" in value else ""


def ids(values: Iterable[str]) -> list[str]:
    """The Message-IDs in these values, the last first: in References that is the nearest."""
    found = [one for value in values for one in _ID.findall(value[-LONGEST_VALUE:])[-MOST_IDS:]]
    return list(dict.fromkeys(reversed(found)))


def moment(value: str) -> datetime | None:
    """A Date, in UTC; None where it is none."""
    try:
        found = parsedate_to_datetime(value.strip()[:100])
        zoned = found if found.tzinfo else found.replace(tzinfo=UTC)
        return zoned.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError, AttributeError):
        return None


def content_type(value: str) -> tuple[str, dict[str, str]]:
    """The kind of a part in lower case, and its parameters, continued ones put together."""
    value = value[:_LONGEST_PARAMETERS]
    kind = value.partition(";")[0].partition("(")[0].strip().strip('"').lower()
    found: dict[str, str] = {}
    for name, quoted, bare in _PARAMETER.findall(value):
        plain = name.lower().partition("*")[0]
        found[plain] = found.get(plain, "") + (quoted or bare)
    return kind, found
