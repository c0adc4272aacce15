"""Drafts: making a batch, filling it, taking documents out, and throwing it away."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select

from portal.accounts import User
from portal.batches.tables import Batch


class NotNow(Exception):
    """It cannot be done as things stand; the message says why, and what to do. Nothing changed."""


@dataclass(frozen=True)
class Filled:
    """What filling a batch came to.

    elsewhere: documents that stand in another draft. sent_already: sent, or on their way.
    """

    added: int
    elsewhere: int
    sent_already: int


def make(name: str, user: User, kind: str = "invoice") -> Batch:
    """Start a draft; without a name it is called after its kind and the day. Commits."""
    raise NotImplementedError


def rename(batch: Batch, name: str, user: User) -> None:
    """Call it something else. Raises NotNow for an empty name. Commits."""
    raise NotImplementedError


def fill(batch: Batch, ids: Select[Any], user: User) -> Filled:
    """Put documents in, by a SELECT of their ids; whatever is in already stays. Commits.

    A document stands in one draft at a time. Raises NotNow where the batch is no draft.
    """
    raise NotImplementedError


def remove(batch: Batch, item_ids: Iterable[int], user: User) -> int:
    """Take items out of a draft; how many. Raises NotNow where it is no draft. Commits."""
    raise NotImplementedError


def discard(batch: Batch, user: User) -> None:
    """Throw a draft away; its documents can go into another. Raises NotNow. Commits."""
    raise NotImplementedError


@dataclass(frozen=True)
class Listed:
    """One batch in the list, with how many documents it holds, and how many of them by state."""

    batch: Batch
    total: int
    states: dict[str, int]


def listed(before: int | None = None, size: int = 50) -> list[Listed]:
    """Batches, newest first; `before` is the id of the last one of the page before."""
    raise NotImplementedError
