"""Batches: documents that are completed together.

A batch is a draft until somebody completes it; before that nothing is generated and nothing sent.
check() stores what each item comes to: sender and reason, recipients, what is lacking. complete()
gives the ready ones to the worker, which freezes them one by one (prepare()): exactly what was
checked, or, where something changed meanwhile, nothing.
"""

from portal.batches.checking import (
    Checked,
    ProblemCount,
    SenderCount,
    Summary,
    check,
    check_again,
    summary,
)
from portal.batches.completing import complete, stop
from portal.batches.drafts import (
    Filled,
    Listed,
    NotNow,
    discard,
    fill,
    listed,
    make,
    remove,
    rename,
)
from portal.batches.forecasting import Outlook, forecast, outlook
from portal.batches.freezing import is_due, prepare
from portal.batches.groups import ids, items
from portal.batches.results import Progress, Results, progress, results, retry, table, unfinished
from portal.batches.tables import Batch, BatchItem, BatchStatus, ItemState
from portal.batches.waiting import Waiting, still_waiting

__all__ = [
    "Batch",
    "BatchItem",
    "BatchStatus",
    "Checked",
    "Filled",
    "ItemState",
    "Listed",
    "NotNow",
    "Outlook",
    "ProblemCount",
    "Progress",
    "Results",
    "SenderCount",
    "Summary",
    "Waiting",
    "check",
    "check_again",
    "complete",
    "discard",
    "fill",
    "forecast",
    "ids",
    "is_due",
    "items",
    "listed",
    "make",
    "outlook",
    "prepare",
    "progress",
    "remove",
    "rename",
    "results",
    "retry",
    "still_waiting",
    "stop",
    "summary",
    "table",
    "unfinished",
]
