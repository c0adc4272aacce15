"""Bounces: what came back or was answered, tied to its sending, and what follows from it."""

from portal.bounces.cautions import clear
from portal.bounces.cautions import of as cautions_of
from portal.bounces.keeping import broke, keep, known, look_again
from portal.bounces.reading import asked, of_dispatch, of_document, returned_lately, say
from portal.bounces.tables import Arrival, Caution, Inbox, Standing, Tie

__all__ = [
    "Arrival",
    "Caution",
    "Inbox",
    "Standing",
    "Tie",
    "asked",
    "broke",
    "cautions_of",
    "clear",
    "keep",
    "known",
    "look_again",
    "of_dispatch",
    "of_document",
    "returned_lately",
    "say",
]
