"""Known: what there is to show of one sending beside its row, on its page and evidence sheet."""

from dataclasses import dataclass
from datetime import datetime

from portal import dispatch
from portal.dispatch import Dispatch, Seal, State
from portal.extensions import db


@dataclass(frozen=True)
class Known:
    """seal: None where it was not looked at. follows: the sending this one was asked for after, and
    same: whether it is that very message, None where it was not looked at. changed: since when its
    document is another. doubles: the sendings that brought the same people the same, because one
    that nobody could tell of turned out to have left."""

    seal: Seal | None
    follows: Dispatch | None
    same: bool | None
    followed_by: list[Dispatch]
    doubles: list[Dispatch]
    changed: datetime | None
    looked: str


def known(one: Dispatch, *, hurried: bool = False, thorough: bool = False) -> Known:
    """What is known of one sending; hurried: leave the message itself unread; thorough: take it
    apart, and look at its PDF as well.
    """
    changed = one.document_id is not None and one.document.version != one.document_version
    return Known(
        seal=None if hurried else dispatch.seal_of(one, paper=thorough),
        follows=db.session.get(Dispatch, one.resend_of_id) if one.resend_of_id else None,
        same=None if hurried else dispatch.repeats(one),
        followed_by=dispatch.followed_by(one),
        doubles=dispatch.doubles(one),
        changed=one.document.changed_at if changed else None,
        looked=_looked(one) if one.state == State.UNKNOWN else "",
    )


def _looked(one: Dispatch) -> str:
    """Whether the portal could look for what became of an unclear one, in a sentence."""
    box, times = one.mailbox, one.settle_tries
    if box is None:
        return "There is no mailbox any more in which it could look."
    if not box.can_read_sent:
        return f"{box.email} did not let the portal read its mail, so it could not look in Sent."
    if not times:
        return "It could not look: no draft was noted before it was handed over."
    often = "once" if times == 1 else f"{times} times"
    return f"It looked {often}, among the drafts and in Sent, and found neither."
