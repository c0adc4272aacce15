"""Checking: what each document of a draft comes to, stored, so that everybody sees the same."""

from dataclasses import dataclass

from portal.accounts import User
from portal.batches.tables import Batch, BatchItem


@dataclass(frozen=True)
class Checked:
    """How far checking has come."""

    done: int
    total: int

    @property
    def finished(self) -> bool:
        return self.done >= self.total


@dataclass(frozen=True)
class SenderCount:
    """What one address is to send. reason and problem are those of one of its items."""

    email: str
    name: str
    mailbox_id: int | None
    mailbox_email: str
    count: int
    waits: int
    reason: str
    problem: str


@dataclass(frozen=True)
class ProblemCount:
    """How many items have one problem, in the words of the first of them.

    state: blocked or waits, or ready where it is but a remark. group: what items() takes.
    """

    code: str
    state: str
    count: int
    problem: str
    hint: str
    fix: str

    @property
    def group(self) -> str:
        return f"problem:{self.code}"


@dataclass(frozen=True)
class Summary:
    """What a draft comes to. size in bytes; branches: how many it covers."""

    total: int
    unchecked: int
    ready: int
    waits: int
    blocked: int
    size: int
    branches: int
    company_only: bool
    senders: list[SenderCount]
    problems: list[ProblemCount]

    @property
    def sendable(self) -> int:
        """How many the button sends; the waiting ones will be on hold."""
        return self.ready + self.waits


def check(batch: Batch, user: User, size: int = 500) -> Checked:
    """Check the next so many unchecked items as this person's sending, and store it. Commits.

    To be called until it is finished. Does nothing to a completed batch.
    """
    raise NotImplementedError


def check_again(batch: Batch) -> None:
    """Let everything be checked anew, by the settings of now. Raises NotNow. Commits."""
    raise NotImplementedError


def summary(batch: Batch) -> Summary:
    """The counts that pre-flight shows."""
    raise NotImplementedError


def items(batch: Batch, group: str = "", after: int = 0, limit: int = 100) -> list[BatchItem]:
    """A stretch of the batch in the order of adding, after the item of this id.

    group: "" for all; an ItemState; a dispatch State ("accepted", "held") once it is completed;
    "sender:tom@…" or "problem:no_address", as a Summary names them.
    """
    raise NotImplementedError
