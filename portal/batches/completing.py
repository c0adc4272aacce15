"""Completing: the one press of the button that gives a draft to the worker."""

from portal import pace
from portal.accounts import User
from portal.batches.tables import Batch


def complete(batch: Batch, user: User, version: int) -> None:
    """Let the ready and the waiting items go; the blocked ones are left. Commits and rings.

    version: the one the page showed. Raises NotNow (nothing sent) where the batch changed since,
    is being checked, holds documents that changed since, or has nothing that could be sent.
    """
    raise NotImplementedError


def forecast(batch: Batch) -> list[pace.Forecast]:
    """By each mailbox that has to do with the batch, when it will be done; slowest first."""
    raise NotImplementedError
