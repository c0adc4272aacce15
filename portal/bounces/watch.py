"""Watch: whether what comes into a mailbox is read, how much of it, and when it last was.

Only what was read can be told of: where an inbox is not, nobody knows whether something came back.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import select

from portal.bounces.tables import Inbox
from portal.columns import now
from portal.extensions import db
from portal.mailboxes import Health, Mailbox
from portal.providers.provider import Access

#: An inbox that nobody could read for so long is behind, though nothing said why.
BEHIND_AFTER = timedelta(minutes=30)


class Sight(StrEnum):
    """How a mailbox's inbox stands."""

    READ = "read"
    NOT_YET = "not_yet"  # it may be read, and will be
    BEHIND = "behind"  # not read for a while, and nothing says why: perhaps no worker runs
    FAILING = "failing"  # it was tried, and could not be read
    AWAY = "away"  # the mailbox itself is not connected just now
    NOT_ALLOWED = "not_allowed"


@dataclass(frozen=True)
class Watch:
    """How one inbox stands. looked_at: when all up to then had been read; since: from when on it
    cannot be read, where that is known; problem: why not, in one sentence."""

    email: str
    sight: Sight
    access: Access
    looked_at: datetime | None = None
    since: datetime | None = None
    problem: str = ""

    @property
    def sees(self) -> bool:
        """Whether something that came back would be known by now."""
        return self.sight is Sight.READ


def watch_of(box: Mailbox) -> Watch:
    """How the inbox of one mailbox stands."""
    return judged(box, db.session.get(Inbox, box.id), now())


def watches(boxes: Iterable[Mailbox]) -> dict[int, Watch]:
    """The same of several, by number of the mailbox."""
    known = {box.id: box for box in boxes}
    query = select(Inbox).where(Inbox.mailbox_id.in_(known))
    rows = {one.mailbox_id: one for one in db.session.scalars(query)} if known else {}
    return {id_: judged(box, rows.get(id_), now()) for id_, box in known.items()}


def judged(box: Mailbox, row: Inbox | None, at: datetime) -> Watch:
    """How an inbox stands at a moment; row: None where nobody has looked yet."""
    access = box.abilities.incoming
    seen = row.looked_at if row else None
    since, problem = (row.failing_since, row.problem) if row else (None, "")
    if access is Access.NONE:
        return Watch(box.email, Sight.NOT_ALLOWED, access, seen)
    if box.health != Health.CONNECTED or box.is_elsewhere:
        return Watch(box.email, Sight.AWAY, access, seen, problem=box.why_not)
    if since is not None:
        return Watch(box.email, Sight.FAILING, access, seen, since, problem)
    if seen is None:
        return Watch(box.email, Sight.NOT_YET, access)
    sight = Sight.BEHIND if seen < at - BEHIND_AFTER else Sight.READ
    return Watch(box.email, sight, access, seen)
