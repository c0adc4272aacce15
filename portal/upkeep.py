"""Upkeep: looking after mailboxes that nothing is sent through, so that no sign-in dies of disuse.

Each night every mailbox that had no call for a day gets its provider's cheapest one, which renews
its access on the way: Microsoft forgets a sign-in after 90 days without, Google after six months.
What ends by itself all the same is said before it does (health.forecast).
"""

import logging
import math
import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from flask import current_app
from sqlalchemy import or_, select, update

from portal import (
    alarms,
    breakdowns,
    dispatch,
    health,
    instance,
    journal,
    ledger,
    mailboxes,
    queueing,
)
from portal.accounts import User, managers
from portal.columns import db_now, now
from portal.dispatch import Dispatch
from portal.envelope import Mailable, ProviderAnswer
from portal.extensions import db
from portal.health import Forecast
from portal.mailboxes import Health, Mailbox
from portal.people import company
from portal.senders import SendFrom
from portal.stores import reading, rows_changed

#: The hours of the company's night, and after how long without a call a mailbox is looked after in
#: it; at the latest after so long, whatever the hour.
NIGHT, A_DAY, AT_LATEST = range(1, 6), timedelta(hours=20), timedelta(hours=48)
#: Nobody looks twice within so long; where the provider was away, within the hour.
AGAIN, AWAY = timedelta(hours=20), timedelta(hours=1)
#: Seconds between two looks at what is due, and how many mailboxes are asked for in one: spread
#: over the night, so that no provider sees them all at once.
PAUSE, A_FEW = 60.0, 3

log = logging.getLogger(__name__)


def look_again(ends: float = math.inf) -> int:
    """Look after the mailboxes that are due, a few at most; how many it were. Raises nothing.

    ends: when (monotonic) to begin no more. It looks for what is due once a minute.
    """
    looked: dict[str, float] = current_app.extensions.setdefault("upkeep", {"at": -math.inf})
    if time.monotonic() < looked["at"] + PAUSE:
        return 0
    looked["at"] = time.monotonic()
    seen = 0
    for box_id in _due()[:A_FEW]:
        if queueing.stopping.is_set() or time.monotonic() >= ends:
            break
        seen += _looked_after(box_id)
    tell_of_secret()
    tell_of_ends()
    return seen


def is_due(box: Mailbox, at: datetime, zone: ZoneInfo) -> bool:
    """Whether a mailbox is to be looked after at a moment."""
    waits = AWAY if box.failing_since else AGAIN
    if box.looked_at is not None and at - box.looked_at < waits:
        return False
    idle = at - (box.checked_at or box.connected_at)
    if box.failing_since:
        return True
    return idle > AT_LATEST or (idle > A_DAY and at.astimezone(zone).hour in NIGHT)


def _due() -> list[int]:
    """Those not looked at for longest first; none on a copy, or while all mail is held."""
    with reading():
        if not instance.may_send():
            return []
        query = select(Mailbox).where(Mailbox.health == Health.CONNECTED, mailboxes.is_here())
        zone, at = ZoneInfo(company().time_zone), now()
        boxes = [one for one in db.session.scalars(query) if not one.is_relay]
        due = [one for one in boxes if not one.is_paused and is_due(one, at, zone)]
        return [one.id for one in sorted(due, key=lambda one: one.checked_at or one.connected_at)]


def _looked_after(box_id: int) -> bool:
    """One look, by one process anywhere: whoever sets out writes it down first."""
    if not _set_out(box_id):
        return False
    try:
        mailboxes.check(box_id)
    except ProviderAnswer as problem:
        log.info("mailbox %s: %s", box_id, problem.words)
        ledger.note_failure(box_id, problem)
    except Exception:
        journal.undo()
        log.exception("a mailbox could not be looked after")
    return True


def _set_out(box_id: int) -> bool:
    before = or_(
        Mailbox.looked_at.is_(None),
        Mailbox.looked_at < db_now(-AWAY.total_seconds()),
    )
    taken = db.session.execute(
        update(Mailbox).where(Mailbox.id == box_id, before).values(looked_at=db_now())
    )
    db.session.commit()
    return rows_changed(taken) == 1


# -- what ends by itself -------------------------------------------------------------------------


def secret_ends() -> date | None:
    """When the client secret for Microsoft ends, as the operator wrote it down."""
    ends: date | None = current_app.config["PORTAL"].MICROSOFT_SECRET_ENDS
    return ends


def today() -> date:
    """Today's date where the company is."""
    return now().astimezone(ZoneInfo(company().time_zone)).date()


def secret_warning() -> str:
    """That the client secret ends within 30 days; "" while it is far off, or unknown."""
    ends = secret_ends()
    if ends is None or health.secret_stage(ends, today()) is None:
        return ""
    return health.secret_words(ends, today())


def tell_of_secret() -> int:
    """Mail each manager 30 days, a week and a day before the client secret ends. Commits."""
    ends = secret_ends()
    if ends is None:
        return 0
    with reading():
        stage = health.secret_stage(ends, today()) if instance.may_send() else None
        way = alarms.other_sender() if stage is not None else None
        people = managers() if way else []
    return sum(_is_told(ends, stage, one, way) for one in people if way and stage is not None)


def tell_of_ends() -> int:
    """Mail whom it concerns, once, that a mailbox's sign-in is about to end by itself. Commits.

    It leaves by another way where there is one, else by this very mailbox, which still sends.
    Returns how many mails were asked for just now.
    """
    with reading():
        due = list(_foreseen()) if instance.may_send() else []
    return sum(_is_told_of_end(box, found, user, way) for box, found, user, way in due)


def _foreseen() -> Iterator[tuple[Mailbox, Forecast, User, SendFrom]]:
    """Each sign-in that ends soon, with each person who has not been told, and the way to them."""
    soon = or_(Mailbox.grant_ends_at.is_not(None), Mailbox.lasted_a_week)
    for box in db.session.scalars(select(Mailbox).where(soon).order_by(Mailbox.id)):
        found = health.forecast(box.facts(), now())
        for user in breakdowns.concerned(box) if found else ():
            way = breakdowns.way_to(user, box.id) or breakdowns.way_to(user, 0)
            if found and way and dispatch.noticed(_key_of_end(box, user)) is None:
                yield box, found, user, way


def _key_of_end(box: Mailbox, user: User) -> str:
    """One for each sign-in: whoever signs in again, and has it end again, is told again."""
    return f"ends/{box.id}/{box.connected_at.isoformat()}/{user.id}"


def _is_told_of_end(box: Mailbox, found: Forecast, user: User, way: SendFrom) -> bool:
    failing = "somebody could not be told that a sign-in ends"
    told = journal.by_itself(lambda: _tell_of_end(box, found, user, way), log, failing)
    return told is not None


def _tell_of_end(box: Mailbox, found: Forecast, user: User, way: SendFrom) -> Dispatch:
    ends = "ends" if found.certain else "probably ends"
    day = found.at.astimezone(ZoneInfo(company().time_zone))
    when = f"{day:%A}, {day.day} {day:%B}, about {day:%H:%M}"
    subject = f"The sign-in of {box.email} {ends} on {day:%A}"
    lines = (
        f"Hello {user.name.split()[0]},",
        f"{box.kind.account} {ends} the portal’s sign-in to {box.email} on {when}. From then on "
        "nothing leaves through it until somebody signs in again; what is to leave waits.",
        _way_out(box, found, user),
        f"{company().name}, by Sendwright",
    )
    to, key = Mailable(user.email, user.name), _key_of_end(box, user)
    return dispatch.notice(key, to, subject, "\n\n".join(lines), way)


def _way_out(box: Mailbox, found: Forecast, user: User) -> str:
    """What to do before it ends, and so that it does not come back."""
    portal = current_app.config["PORTAL"].PUBLIC_URL
    page = "settings" if box.owner_id is None else "profile"
    if user in breakdowns.who_can_mend(box):
        todo = f"What to do: sign in to it again before then, at {portal}/{page}."
    else:
        whose = box.owner.name if box.owner else "A manager"
        todo = f"What to do: {whose} signs in to it again before then, at {portal}/{page}."
    if not found.of_testing:
        return todo
    return (
        f"{todo}\n\nWhy: Google ends every sign-in after seven days while the portal’s Google "
        "project is in Testing. For good, whoever runs the portal publishes the project (“In "
        "production”) or makes it Internal first. Otherwise this comes back every week."
    )


def _is_told(ends: date, stage: int, manager: User, way: SendFrom) -> bool:
    failing = "a manager could not be told of the client secret"
    return journal.by_itself(lambda: _tell(ends, stage, manager, way), log, failing) is not None


def _tell(ends: date, stage: int, manager: User, way: SendFrom) -> Dispatch:
    key = f"secret/{ends.isoformat()}/{stage}/{manager.id}"
    body = (
        f"Hello {manager.name.split()[0]},\n\n"
        f"{health.secret_words(ends, today())} From then on no mailbox at Microsoft 365 sends.\n\n"
        f"What to do: ask whoever runs the portal to make a new client secret in Microsoft Entra, "
        f"to set MICROSOFT_CLIENT_SECRET and MICROSOFT_SECRET_ENDS, and to start the portal "
        f"again. Nobody has to sign in again for it.\n\n"
        f"{company().name}, by Sendwright"
    )
    to = Mailable(manager.email, manager.name)
    return dispatch.notice(key, to, "The portal’s secret for Microsoft ends soon", body, way)
