"""What every page knows: the company, the kinds of document, the banners, how to write times."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_datetime, format_timedelta
from flask import Flask, g, request, url_for
from flask_login import current_user
from sqlalchemy import select

from portal import dispatch, domains, health, mailboxes, queueing, upkeep
from portal.columns import now
from portal.dispatch import queued, waiting_for
from portal.documents.facts import money
from portal.documents.kinds import KINDS
from portal.extensions import db
from portal.instance import Instance
from portal.mailboxes import Mailbox
from portal.people import Company
from portal.people import company as the_company
from portal.web.page import wants_fragment
from portal.web.returning import way_back

THEMES = ("auto", "light", "dark")
#: Trouble on the way that is shorter passes unseen.
A_WHILE = timedelta(minutes=5)


@dataclass(frozen=True)
class Banner:
    """One thing somebody must do, shown on every page until it is done.

    href leads to a page; with `post` it is a deed, done by a button.
    """

    level: str
    text: str
    href: str
    action: str
    post: bool = False
    of_mailbox: bool = False


def register(app: Flask) -> None:
    """Bind the context and the filters."""
    app.context_processor(_common)
    app.jinja_env.filters["clock"] = clock
    app.jinja_env.filters["moment"] = moment
    app.jinja_env.filters["ago"] = ago
    app.jinja_env.filters["money"] = money_text
    app.jinja_env.globals["ui"] = app.jinja_env.get_template("macros.html").module


def _common() -> dict[str, Any]:
    signed_in = current_user.is_authenticated
    return {
        "company": company() if signed_in else None,
        "KINDS": KINDS,
        "attention": _banners() if signed_in and not wants_fragment() else [],
        "theme": theme(),
        "way_back": way_back() if signed_in and not wants_fragment() else None,
    }


def company() -> Company:
    """The company, read once a request."""
    if "company" not in g:
        g.company = the_company()
    found: Company = g.company
    return found


def theme() -> str:
    chosen = request.cookies.get("theme", "auto")
    return chosen if chosen in THEMES else "auto"


def clock(value: datetime | None) -> str:
    """10:42, or with its day when that is not today, in the company's time zone."""
    if value is None:
        return ""
    zone = ZoneInfo(company().time_zone)
    there, today = value.astimezone(zone), now().astimezone(zone).date()
    pattern = "HH:mm" if there.date() == today else "d MMM, HH:mm"
    return format_datetime(there, pattern, locale="en_AU")


def moment(value: datetime | None) -> str:
    """23 Nov 2026, 10:42:07, in the company's time zone."""
    if value is None:
        return ""
    zone = ZoneInfo(company().time_zone)
    return format_datetime(value.astimezone(zone), "d MMM y, HH:mm:ss", locale="en_AU")


def ago(value: datetime | None) -> str:
    """4 minutes ago."""
    if value is None:
        return "never"
    return format_timedelta(value - now(), add_direction=True, locale="en_AU")


def money_text(amount: Decimal, currency: str) -> str:
    return money(amount, currency)


def _banners() -> list[Banner]:
    waited = dispatch.to_review()
    boxes = mailboxes.to_be_told_of(waited)
    broken = [one for one in boxes if not one.can_send]
    found = [banner for one in broken if (banner := _banner(one, waiting_for(one.id)))]
    found += [banner for one in boxes if one.failing_since and (banner := _away_banner(one))]
    if (holds := held_by()) is not None:
        found.insert(0, _held_banner(holds))
    found[:0] = _store_banners()
    found += [*_review_banners(boxes, waited), *_foreseen_banners(boxes), *_domain_banners()]
    stuck = stuck_in_queue()
    return [*found, _service_banner(stuck)] if stuck else found


def _review_banners(boxes: list[Mailbox], waited: dict[int, int]) -> list[Banner]:
    """What waited for long is asked about where somebody can say what becomes of it."""
    mine = [box for box in boxes if current_user.is_manager or box.owner_id == current_user.id]
    return [_review_banner(box, waited[box.id]) for box in mine if box.id in waited]


def _review_banner(box: Mailbox, count: int) -> Banner:
    what = "1 message is" if count == 1 else f"{count} messages are"
    text = f"{what} waiting for your word, held up for long while {box.email} could not send."
    return Banner("warn", text, url_for("reviews.show", mailbox_id=box.id), "Send all, or review")


def _foreseen_banners(boxes: list[Mailbox]) -> list[Banner]:
    """What ends by itself soon, for who can do something about it before it does."""
    found = []
    for box in boxes:
        soon = health.forecast(box.facts(), now())
        if soon is not None and mailboxes.may_manage(box, current_user):
            ends = "ends" if soon.certain else "probably ends"
            text = f"The sign-in of {box.email} {ends} {clock(soon.at)}."
            where = "settings.show" if box.owner_id is None else "profile.show"
            found.append(Banner("warn", text, url_for(where), "Why, and the way out"))
    secret = upkeep.secret_warning() if current_user.is_manager else ""
    if secret:
        found.append(Banner("warn", secret, url_for("settings.show"), "What to do"))
    return found


def _domain_banners() -> list[Banner]:
    """Who can put a domain right is told on every page that its mail no longer passes."""
    return [
        Banner(
            "bad",
            f"Mail from {one.shown} no longer passes the check for forged senders.",
            url_for("domains.show", domain=one.name),
            "See what is missing",
        )
        for one in (domains.failing() if current_user.is_manager else [])
    ]


def held_by() -> Instance | None:
    """Who holds all mail, since when and why; None while mail may leave. Read once a request."""
    one = _instance()
    return one if one is not None and one.held_at is not None else None


def _instance() -> Instance | None:
    if "instance" not in g:
        g.instance = db.session.scalar(select(Instance))
    found: Instance | None = g.instance
    return found


def _store_banners() -> list[Banner]:
    """What to say of a store that was restored or copied; the rest is for managers."""
    one = _instance()
    if one is None:
        return []
    way, decides = url_for("restoration.show"), bool(current_user.is_manager)
    lost = sum(len(look["strangers"]) for look in one.found.values() if "seen" not in look)
    if one.stopped_at is not None and not one.choice:
        text, action = f"Nothing is being sent: {one.stopped_why}", "Say what this is"
    elif one.stopped_at is not None:
        text = "Nothing is being sent yet: the portal looks for what has left already."
        action = "See how far it is"
    elif one.choice == "copy":
        return [Banner("info", "This is a copy of the portal, for trying out.", "", "")]
    elif lost and decides:
        what = "message" if lost == 1 else "messages"
        text = f"{lost:,} {what} left after the backup, and this portal does not know of them."
        action = "Look at them"
    else:
        return []
    level = "bad" if one.stopped_at is not None and not one.choice else "warn"
    return [Banner(level, text, way if decides else "", action if decides else "")]


def _held_banner(holds: Instance) -> Banner:
    who = holds.held_by.name if holds.held_by else "Somebody"
    text = f"{who} holds all mail since {clock(holds.held_at)}, so nothing leaves. Nothing is lost."
    if holds.held_why:
        text = f"{text} Why: {holds.held_why}"
    if not current_user.is_manager:
        return Banner("warn", text, "", "")
    return Banner("warn", text, url_for("outbox.let_go"), "Let mail leave again", post=True)


def stuck_in_queue() -> int:
    """How many messages nobody is about to take up; asked of Redis only when something waits."""
    if "stuck" not in g:
        waiting = queued()
        g.stuck = waiting if waiting and queueing.health() != "ok" else 0
    found: int = g.stuck
    return found


def _service_banner(stuck: int) -> Banner:
    wait, they = ("message waits", "It is") if stuck == 1 else ("messages wait", "They are")
    text = f"{stuck} {wait}: the sending service cannot be reached. {they} safe."
    if not current_user.is_manager:
        return Banner("warn", text, "", "")
    return Banner("warn", text, url_for("workers.index"), "See what is missing")


def _away_banner(box: Mailbox) -> Banner | None:
    """That its provider has not been reached for a while, where mail waits for it."""
    found = health.judge(box.facts(), now())
    if found.condition is not health.Condition.UNREACHABLE or found.since is None:
        return None
    waiting = waiting_for(box.id) if now() - found.since > A_WHILE else 0
    if not waiting:
        return None
    what = "1 message is" if waiting == 1 else f"{waiting} messages are"
    who = box.facts().who
    text = f"{who} cannot be reached for {box.email} since {clock(found.since)}. We keep trying."
    return Banner("warn", f"{text} {what} safe and waiting.", url_for("outbox.index"), "See them")


def _banner(box: Mailbox, waiting: int) -> Banner | None:
    """What to say of a mailbox that cannot send; nothing to whom it does not concern."""
    allowed = mailboxes.may_manage(box, current_user)
    given_up = box.health == mailboxes.Health.DISCONNECTED
    if not waiting and (given_up or not allowed):
        return None
    safe = f" {waiting} {'message is' if waiting == 1 else 'messages are'} safe and waiting."
    where = "profile.show" if box.owner_id == current_user.id else "settings.show"
    return Banner(
        "bad",
        box.why_not + (safe if waiting else ""),
        url_for(where) if allowed else "",
        "Put it right" if allowed else "",
        of_mailbox=True,
    )
