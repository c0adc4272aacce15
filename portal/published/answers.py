"""Answers of the DNS as the judging sees them, and the sheet it reads them from. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

#: What is kept of an answer: so many records, and of each so many characters.
MOST_VALUES, LONGEST_VALUE = 60, 4096


class Kind(StrEnum):
    """What became of a question. No answer is not the same as no record."""

    FOUND = "found"
    NOTHING = "nothing"  # the name is there, a record of this type is not
    NO_NAME = "no_name"  # there is no such name
    FAILED = "failed"  # its name servers say that they cannot answer
    SILENT = "silent"  # nobody answered in time
    UNASKED = "unasked"


#: The answers that say for certain that there is no record.
EMPTY = (Kind.NOTHING, Kind.NO_NAME)

#: A name without its last dot, in lower case, and a record's type: ("brightspark.example", "TXT").
Question = tuple[str, str]


@dataclass(frozen=True)
class Answer:
    """values: a TXT record's strings joined; hosts without their last dot. through: the names that
    it was forwarded to (CNAME), in order."""

    kind: Kind
    values: tuple[str, ...] = ()
    through: tuple[str, ...] = ()

    @property
    def is_certain(self) -> bool:
        return self.kind in (Kind.FOUND, *EMPTY)


UNASKED = Answer(Kind.UNASKED)


class Sheet:
    """The answers there are; what is looked for in vain is remembered as wanted."""

    def __init__(self, answers: Mapping[Question, Answer]) -> None:
        self._answers = answers
        self.wanted: set[Question] = set()

    def if_it_said(self, question: Question, answer: Answer) -> "Sheet":
        """The same sheet with another answer to one question; they share what they want."""
        other = Sheet({**self._answers, question: answer})
        other.wanted = self.wanted
        return other

    def look(self, name: str, kind: str) -> Answer:
        question = (plain_name(name), kind)
        if question not in self._answers:
            self.wanted.add(question)
        return self._answers.get(question, UNASKED)


def plain_name(name: str) -> str:
    return name.strip().rstrip(".").lower()


def clean_text(raw: bytes) -> str:
    """A record's bytes as text that any store takes: what is not printable ASCII becomes U+FFFD."""
    text = raw[: LONGEST_VALUE + 1].decode("utf-8", errors="replace")
    return "".join(char if " " <= char <= "~" else "\ufffd" for char in text)[:LONGEST_VALUE]


def as_json(answers: Mapping[Question, Answer]) -> dict[str, Any]:
    """The answers as they are stored: {"TXT brightspark.example": {"kind": …, "values": […]}}."""
    return {
        f"{kind} {name}": {
            "kind": str(one.kind),
            "values": list(one.values),
            "through": list(one.through),
        }
        for (name, kind), one in sorted(answers.items())
    }


def from_json(stored: Mapping[str, Any]) -> dict[Question, Answer]:
    """as_json() backwards."""
    return {_question(key): _answer(one) for key, one in stored.items()}


def _question(key: str) -> Question:
    kind, _, name = key.partition(" ")
    return name, kind


def _answer(one: Mapping[str, Any]) -> Answer:
    return Answer(Kind(one["kind"]), _texts(one["values"]), _texts(one["through"]))


def _texts(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple(str(value) for value in values)
