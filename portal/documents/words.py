"""Words: what a document is found by, kept beside it so that a search never reads them all.

Each word of a document is a row with the day of the document, so the documents with a word are one
stretch of an index, newest first. Everything here can be made anew from the documents.
"""

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, tuple_
from sqlalchemy.orm import Mapped, mapped_column

from portal.columns import PLAIN
from portal.extensions import Base
from portal.people import bare, folded

MOST_WORDS = 60
LONGEST_WORD = 40
#: So many words of a search count; nobody writes more.
MOST_SOUGHT = 8


class DocumentWord(Base):
    """That a document of a kind and a day holds a word."""

    __tablename__ = "document_words"
    __table_args__ = {"sqlite_with_rowid": False}

    kind: Mapped[str] = mapped_column(PLAIN, primary_key=True)
    word: Mapped[str] = mapped_column(PLAIN, primary_key=True)
    issued: Mapped[dt.date] = mapped_column(primary_key=True)
    document_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


@dataclass(frozen=True)
class Entry:
    """One document as the words know it. words: sorted, each once, without its number's."""

    document_id: int
    kind: str
    issued: dt.date
    words: tuple[str, ...]


def words_of(*texts: str) -> tuple[str, ...]:
    """The words in texts, folded, each once: O'Hara counts as ohara, o and hara."""
    found: set[str] = set()
    for piece in folded(" ".join(texts)).split():
        found |= {bare(piece), *re.split(r"[\W_]+", piece)}
    return tuple(sorted(word[:LONGEST_WORD] for word in found if word))[:MOST_WORDS]


def number_words(number: str) -> tuple[str, ...]:
    """What a document's own number is found by: INV-0042 as inv0042, inv, 0042 and 42."""
    found = set(words_of(number))
    return tuple(sorted(found | {word.lstrip("0") for word in found if word.isdecimal()} - {""}))


def number_key(number: str) -> str:
    """A number as it is searched: INV-0042 is inv0042."""
    return bare(folded(number))


def kept_text(entry: Entry, number: str) -> str:
    """All words of a document as one text, each with a space before it."""
    return "".join(f" {word}" for word in sorted({*entry.words, *number_words(number)}))


def sought(typed: str) -> list[str]:
    """The beginnings of words that somebody looks for."""
    found = [bare(piece)[:LONGEST_WORD] for piece in folded(typed.replace("\0", "")).split()]
    return list(dict.fromkeys(one for one in found if one))[:MOST_SOUGHT]


def end_of(beginning: str) -> str:
    """Where the words with this beginning end."""
    return beginning + "\U0010ffff"


def renew(connection: Connection, before: Iterable[Entry], after: Iterable[Entry]) -> None:
    """Put the rows of `after` in the place of those of `before`. The caller commits."""
    old = {row for entry in before for row in _rows(entry)}
    new = {row for entry in after for row in _rows(entry)}
    key = (DocumentWord.kind, DocumentWord.word, DocumentWord.issued, DocumentWord.document_id)
    gone = sorted(old - new)
    for start in range(0, len(gone), 200):
        connection.execute(delete(DocumentWord).where(tuple_(*key).in_(gone[start : start + 200])))
    names = [column.key for column in key]
    if fresh := [dict(zip(names, row, strict=True)) for row in sorted(new - old)]:
        connection.execute(insert(DocumentWord), fresh)


def _rows(entry: Entry) -> set[tuple[str, str, dt.date, int]]:
    return {(entry.kind, word, entry.issued, entry.document_id) for word in entry.words}
