"""Results: how far a completed batch has come, and what became of each document."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from portal.accounts import User
from portal.batches.tables import Batch


@dataclass(frozen=True)
class Progress:
    """How far a completed batch has come.

    frozen: made into mails that can no longer change; left: not sent, because something changed or
    was lacking. accepted, held, failed (could not send, came back, cancelled), moving (in queue,
    sending, unclear). per_minute: accepted in the last minutes, as a pace; done_by: None when done
    or where nothing can be said.
    """

    total: int
    frozen: int
    left: int
    accepted: int
    held: int
    failed: int
    moving: int
    per_minute: float
    done_by: datetime | None

    @property
    def pending(self) -> int:
        """Not frozen yet."""
        return self.total - self.frozen - self.left

    @property
    def finished(self) -> bool:
        """Whether nothing will change by itself any more, except what is on hold."""
        return self.pending == 0 and self.moving == 0


@dataclass(frozen=True)
class Results:
    """What became of a batch's documents, as counts; items(batch, name) lists each.

    The names: pending (not frozen yet), queued, submitting, accepted, held, refused, unknown,
    returned, cancelled (of the dispatch) and left (nothing was sent).
    """

    total: int
    counts: dict[str, int]
    retries: list[Batch]

    def __getitem__(self, name: str) -> int:
        return self.counts.get(name, 0)

    @property
    def failures(self) -> int:
        """How many retry() would take up."""
        return sum(self[name] for name in FAILURES)


#: The results that another batch can put right.
FAILURES = ("refused", "returned", "cancelled", "left")


def progress(batch: Batch) -> Progress:
    """How far it has come."""
    raise NotImplementedError


def results(batch: Batch) -> Results:
    """The result sheet's counts, and the batches that tried its failures again."""
    raise NotImplementedError


def retry(batch: Batch, user: User) -> Batch:
    """A new draft of what could not be sent, came back, was cancelled or left. Commits.

    Raises NotNow where there is nothing to try again.
    """
    raise NotImplementedError


def table(batch: Batch) -> Iterator[list[str]]:
    """Rows for a CSV file, headings first; no cell can be taken for a formula."""
    raise NotImplementedError
