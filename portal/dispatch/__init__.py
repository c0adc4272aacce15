"""Dispatch: the intent to send one document once. The row is the queue.

request() freezes everything when somebody presses Send; delivery.py carries it out. A dispatch is
unique on (document, purpose, sending number), so a double click, a second tab or a colleague lands
on the same row. Legal moves are drawn in docs/architecture.md.
"""

from portal.dispatch.asking import (
    give_time,
    next_number,
    notice,
    noticed,
    numbered,
    request,
    token_of_notice,
)
from portal.dispatch.claiming import Claim
from portal.dispatch.deciding import (
    Decided,
    Deed,
    came_back,
    decide,
    may_decide,
    settle,
)
from portal.dispatch.freezing import Blocked, Manuscript, Wish, frozen, manuscript
from portal.dispatch.hindsight import doubles, turned_out
from portal.dispatch.holding import hold_mailbox, hold_unagreed, release_ready
from portal.dispatch.moving import accept, load, move, show_on_document, tell
from portal.dispatch.proving import Seal, paper_of, seal_of
from portal.dispatch.reading import (
    asked_by,
    followed_by,
    latest_by_document,
    needing_attention,
    of_document,
    queued,
    standing,
    tally,
    waiting_for,
    waits_behind,
)
from portal.dispatch.resending import can_resend, obstacle_to, repeats, resend, sender_now
from portal.dispatch.reviewing import send_on, to_review
from portal.dispatch.storing import store_all
from portal.dispatch.tables import (
    OPEN_STATES,
    STATES,
    WORK,
    Attempt,
    Dispatch,
    Event,
    Lane,
    Message,
    Proof,
    Purpose,
    State,
)

__all__ = [
    "OPEN_STATES",
    "STATES",
    "WORK",
    "Attempt",
    "Blocked",
    "Claim",
    "Decided",
    "Deed",
    "Dispatch",
    "Event",
    "Lane",
    "Manuscript",
    "Message",
    "Proof",
    "Purpose",
    "Seal",
    "State",
    "Wish",
    "accept",
    "asked_by",
    "came_back",
    "can_resend",
    "decide",
    "doubles",
    "followed_by",
    "frozen",
    "give_time",
    "hold_mailbox",
    "hold_unagreed",
    "latest_by_document",
    "load",
    "manuscript",
    "may_decide",
    "move",
    "needing_attention",
    "next_number",
    "notice",
    "noticed",
    "numbered",
    "obstacle_to",
    "of_document",
    "paper_of",
    "queued",
    "release_ready",
    "repeats",
    "request",
    "resend",
    "seal_of",
    "send_on",
    "sender_now",
    "settle",
    "show_on_document",
    "standing",
    "store_all",
    "tally",
    "tell",
    "to_review",
    "token_of_notice",
    "turned_out",
    "waiting_for",
    "waits_behind",
]
