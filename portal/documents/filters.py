"""Filters: what a list of documents is narrowed to, and how that stands in its address."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from portal.documents.status import BatchStatus, EmailStatus

LONGEST_SEARCH = 200


@dataclass(frozen=True)
class Filters:
    """What a list is narrowed to; it lives in the list's address.

    words: each must be the beginning of a word of the document. batch_status: "" is in no batch,
    None is any. unsent: nothing of it has left (N/A and Pending). ignored: what of the address
    could not be understood, as sentences.
    """

    words: str = ""
    email_status: tuple[str, ...] = ()
    batch_status: str | None = None
    branch_id: int | None = None
    region_id: int | None = None
    property_id: int | None = None
    contact_id: int | None = None
    issued_from: dt.date | None = None
    issued_to: dt.date | None = None
    unsent: bool = False
    batch_id: int | None = None
    ignored: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def from_args(cls, args: Any) -> "Filters":
        """The filters an address or a form names (a MultiDict).

        Never fails: what cannot be understood is left out, and `ignored` says so.
        """
        known: dict[str, Any] = {}
        ignored: list[str] = []
        for name, read in READERS.items():
            given = [one.strip() for one in args.getlist(name) if one.strip()]
            try:
                if given:
                    known[ARGS.get(name, name)] = read(given)
            except ValueError as problem:
                ignored.append(f"{problem} The list is shown without it.")
        return cls(**known, ignored=tuple(ignored))

    def as_args(self) -> dict[str, Any]:
        """What url_for() needs to name the same filters; empty for the whole list."""
        found: dict[str, Any] = {"q": self.words, "email_status": list(self.email_status)}
        if self.batch_status is not None:
            found["batch_status"] = self.batch_status or NO_BATCH
        for name in ("branch_id", "region_id", "property_id", "contact_id", "batch_id"):
            found[name] = str(getattr(self, name) or "")
        for name in ("issued_from", "issued_to"):
            found[name] = day.isoformat() if (day := getattr(self, name)) else None
        found["unsent"] = "yes" if self.unsent else None
        return {name: value for name, value in found.items() if value}


NO_BATCH = "none"
#: Where a filter is called otherwise in an address.
ARGS = {"q": "words"}


def _words(given: list[str]) -> str:
    return " ".join(given[0].replace("\0", "").split())[:LONGEST_SEARCH]


def _email_statuses(given: list[str]) -> tuple[str, ...]:
    odd = [one for one in given if one not in set(EmailStatus)]
    if odd:
        raise ValueError(f"“{odd[0][:40]}” is not an e-mail status.")
    return tuple(one for one in EmailStatus if one in given)


def _batch_status(given: list[str]) -> str:
    wanted = "" if given[0] == NO_BATCH else given[0]
    if wanted not in set(BatchStatus):
        raise ValueError(f"“{given[0][:40]}” is not a batch status.")
    return wanted


def _one_of(noun: str) -> Callable[[list[str]], int]:
    def read(given: list[str]) -> int:
        if not (given[0].isascii() and given[0].isdecimal() and len(given[0]) < 10):
            raise ValueError(f"“{given[0][:40]}” is not a {noun}.")
        return int(given[0])

    return read


def _day(given: list[str]) -> dt.date:
    try:
        return dt.date.fromisoformat(given[0])
    except ValueError:
        raise ValueError(f"“{given[0][:40]}” is not a date.") from None


def _yes(given: list[str]) -> bool:
    return given[0] == "yes"


READERS: dict[str, Callable[[list[str]], Any]] = {
    "q": _words,
    "email_status": _email_statuses,
    "batch_status": _batch_status,
    "branch_id": _one_of("branch"),
    "region_id": _one_of("region"),
    "property_id": _one_of("property"),
    "contact_id": _one_of("customer"),
    "issued_from": _day,
    "issued_to": _day,
    "unsent": _yes,
    "batch_id": _one_of("batch"),
}
