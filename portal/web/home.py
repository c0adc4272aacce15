"""The home page: what needs somebody, what is done, and what to begin."""

from collections import Counter
from datetime import datetime, time
from zoneinfo import ZoneInfo

from flask import Blueprint
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import alarms, batches, bounces, dispatch, mailboxes
from portal.columns import now
from portal.dispatch import Dispatch, State
from portal.documents import recent
from portal.documents.kinds import KINDS, Kind
from portal.mailboxes import Health
from portal.web import arrivals, queues
from portal.web.context import company, held_by, stuck_in_queue
from portal.web.page import page

pages = Blueprint("home", __name__)

#: The kinds a day begins with; the others are one press further.
STARTS = ("invoice", "quote", "job")
#: More than these would hide what to begin with.
MOST = 20


@pages.get("/")
def index() -> ResponseReturnValue:
    """A manager sees the whole company's mail, everybody else their own."""
    mine = None if current_user.is_manager else current_user
    documents = recent(mine)
    tally = dispatch.tally(_midnight(), mine)
    default = mailboxes.company_default()
    needing = dispatch.needing_attention(mine)
    guesses = bounces.asked(mine)
    return page(
        "home/index.html",
        None,
        needing=needing[:MOST],
        steps=arrivals.next_steps(needing[:MOST]),
        returned=_returned(needing),
        guesses=guesses[:MOST],
        replies=bounces.replies(_midnight(), mine),
        today=sum(tally.values()),
        accepted=sum(tally.get(one, 0) for one in (State.ACCEPTED, State.RETURNED)),
        documents=documents,
        latest=dispatch.latest_by_document([one.id for one in documents]),
        default=default,
        connected=default is not None and default.health != Health.DISCONNECTED,
        starts=STARTS,
        stuck=stuck_in_queue(),
        held=held_by(),
        strip=queues.strip(),
        unfinished=batches.unfinished() if current_user.is_manager else [],
        alarms=[(one, alarms.told(one, current_user)) for one in alarms.stuck()],
    )


def _returned(needing: list[Dispatch]) -> list[tuple[Kind, int]]:
    """How many came back, by kind of document."""
    counts = Counter(one.document.kind for one in needing if one.state == State.RETURNED)
    return [(kind, counts[slug]) for slug, kind in KINDS.items() if counts[slug]]


def _midnight() -> datetime:
    """When today began where the company is."""
    zone = ZoneInfo(company().time_zone)
    return datetime.combine(now().astimezone(zone).date(), time(), zone)
