"""Bounces: what came back or was answered, tied to its sending, and what follows from it."""

from portal.bounces.cautions import clear
from portal.bounces.cautions import of as cautions_of
from portal.bounces.keeping import broke, keep, known, look_again
from portal.bounces.moves import Move, move_after, try_again_from
from portal.bounces.reading import (
    asked,
    of_dispatch,
    of_document,
    replied_in_batch,
    replies,
    returns_of,
    say,
)
from portal.bounces.tables import Arrival, Caution, Inbox, Standing, Tie
from portal.bounces.watch import Sight, Watch, watch_of, watches

__all__ = [
    "Arrival",
    "Caution",
    "Inbox",
    "Move",
    "Sight",
    "Standing",
    "Tie",
    "Watch",
    "asked",
    "broke",
    "cautions_of",
    "clear",
    "keep",
    "known",
    "look_again",
    "move_after",
    "of_dispatch",
    "of_document",
    "replied_in_batch",
    "replies",
    "returns_of",
    "say",
    "try_again_from",
    "watch_of",
    "watches",
]
