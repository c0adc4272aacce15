"""Ledger: what each mailbox may send by its provider's limits, and what it has spent of them.

Nothing is kept beside the facts: the last 24 hours are the dispatches that were accepted, the last
minute is one moment in the mailbox's row (until when it is spent), and what a refusal taught is two
columns there. So it is the same for every worker, and after every restart.

A page that reads Gmail's list of send-from addresses spends one unit without asking; pace.SPARE is
kept free for that.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from flask import current_app
from sqlalchemy import Select, func, literal, or_, select, update

from portal import health, journal, mailboxes, pace
from portal.columns import db_now, now
from portal.config import Config
from portal.dispatch import Dispatch, Lane, State
from portal.envelope import OperatorProblem, ProviderAnswer, TryLater
from portal.extensions import db
from portal.mailboxes import Mailbox
from portal.providers.provider import Access

#: What may have been read in the minute before, beside what was sent: so many units.
UNSEEN_UNITS = 300
#: Sent copies are read within this of their sending, where nothing delays it.
READ_WITHIN = timedelta(minutes=10)
#: One refusal teaches once; those of calls that were under way with it say the same.
LESSON = 60.0
#: What only the operator can put right is looked at again after so many seconds.
OPERATORS_TURN = 300.0


#: A mailbox, and when a message left through it.
Lately = Select[int | None, datetime | None]


@dataclass(frozen=True)
class Spent:
    """What a mailbox has sent in the last 24 hours, beside what it may. left: for batches, how many
    may still leave at once."""

    messages: int
    limits: pace.Limits
    left: int

    @property
    def share(self) -> float:
        """The part of the day's messages that is spent, 0 to 1."""
        return min(1.0, self.messages / self.limits.per_day)


def limits_of(box: Mailbox) -> pace.Limits:
    """What its provider lets this mailbox send, the way the portal sends through it."""
    config: Config = current_app.config["PORTAL"]
    units = units_of(box)
    per_day, recipients = _daily(box, config)
    tariff = pace.TARIFFS[box.provider]
    drafts, reads = box.abilities.two_phase, box.can_read_sent
    return pace.Limits(
        pace.per_minute(units, drafts=drafts, reads_back=reads, tariff=tariff),
        per_day,
        units,
        max(recipients, per_day),  # every message has one: fewer would be another daily limit
        pace.kept_for_people(per_day, config.GMAIL_DAILY_KEPT),
    )


def _daily(box: Mailbox, config: Config) -> tuple[int, int]:
    """Messages and recipients in any 24 hours."""
    if box.provider == "microsoft":
        return config.MICROSOFT_DAILY, config.MICROSOFT_DAILY
    if box.provider == "smtp":
        return config.SMTP_DAILY, config.SMTP_DAILY
    if box.hosted_domain:
        return config.GMAIL_DAILY_WORKSPACE, config.GMAIL_RECIPIENTS_WORKSPACE
    return config.GMAIL_DAILY_CONSUMER, config.GMAIL_RECIPIENTS_CONSUMER


def _configured_units(box: Mailbox, config: Config) -> int:
    if box.provider == "microsoft":
        return config.MICROSOFT_MESSAGES_PER_MINUTE * pace.A_MESSAGE
    if box.provider == "smtp":
        return config.SMTP_MESSAGES_PER_MINUTE * pace.A_MESSAGE
    return config.GMAIL_UNITS_PER_MINUTE


def units_of(box: Mailbox) -> int:
    """Units a minute: as configured, or less for a day after the provider refused that many."""
    units = _configured_units(box, current_app.config["PORTAL"])
    if box.learned_units is None or box.learned_at is None:
        return units
    return min(units, box.learned_units) if now() - box.learned_at < pace.LEARNED_FOR else units


# -- what was spent --------------------------------------------------------------------------------


def sent_lately(mailbox_id: int) -> list[datetime]:
    """When the mailbox sent what it sent in the last 24 hours, the unclear counted as sent."""
    return [at for at, _ in _lately(mailbox_id, recipients=False)]


def spent(box: Mailbox) -> Spent:
    """How much of a mailbox's day is gone."""
    limits, moments = limits_of(box), sent_lately(box.id)
    day = pace.Day(limits.per_day, limits.kept, moments)
    return Spent(len(moments), limits, day.left(now(), batch=True))


def full_until(box: Mailbox, lane: Lane = Lane.PERSON) -> datetime | None:
    """When the day's limit lets the next message of a lane leave; None while it does."""
    moment = now()
    opens = day_of(box).opens_at(moment, batch=lane == Lane.BATCH)
    return opens if opens > moment else None


def day_of(box: Mailbox) -> pace.Day:
    """The mailbox's last 24 hours, for whoever is about to send through it."""
    limits = limits_of(box)
    sent = _lately(box.id, recipients=bool(limits.recipients))
    return pace.Day(limits.per_day, limits.kept, sent, limits.recipients)


def _lately(mailbox_id: int, *, recipients: bool) -> list[tuple[datetime, int]]:
    to, cc = (func.json_array_length(one) for one in (Dispatch.to, Dispatch.cc))
    count = to + cc if recipients else literal(1)  # without them, the index tells it all
    mine, since = Dispatch.mailbox_id == mailbox_id, now() - pace.DAY
    accepted = select(Dispatch.accepted_at, count).where(mine, Dispatch.accepted_at > since)
    unclear = select(Dispatch.handed_over_at, count).where(
        mine,
        Dispatch.state.in_((State.SUBMITTING, State.UNKNOWN)),
        Dispatch.handed_over_at > since,
    )
    rows = [*db.session.execute(accepted), *db.session.execute(unclear)]
    return [(row[0], row[1]) for row in rows]


def meter_of(box: Mailbox, clock: float) -> pace.Meter:
    """A meter that goes on where the last one stopped. clock: the caller's seconds, as of now."""
    units = units_of(box)
    if box.abilities.incoming is not Access.NONE:
        units = int(units * (1 - pace.BESIDE_SENDING))
    if box.paced_until is None:
        return pace.Meter(units)
    moment = db.session.scalar(select(db_now())) or now()
    ahead = (box.paced_until - moment).total_seconds()
    return pace.Meter(units, clock + ahead, _spent_in_a_minute(box, moment))


def _spent_in_a_minute(box: Mailbox, moment: datetime) -> int | None:
    """At most so many units lately; None where what is unclear may have cost many more."""
    minute = moment - timedelta(seconds=pace.MINUTE + 2)
    sent = func.count().filter(Dispatch.accepted_at > minute)
    query = select(sent, func.count()).where(
        Dispatch.mailbox_id == box.id, Dispatch.accepted_at > moment - READ_WITHIN
    )
    unclear = select(Dispatch.id).where(
        Dispatch.mailbox_id == box.id,
        Dispatch.state.in_((State.SUBMITTING, State.UNKNOWN)),
    )
    if db.session.scalar(unclear.limit(1)) is not None:
        return None
    left, read = db.session.execute(query).one()
    tariff = pace.TARIFFS[box.provider]
    each = tariff.sending(drafts=box.abilities.two_phase)
    return int(left) * each + int(read) * tariff.reading + UNSEEN_UNITS


def sent_where_it_counts(room: Mapping[int, int]) -> dict[int, tuple[datetime, ...]]:
    """When mailboxes sent what they sent in the last 24 hours, the unclear counted as sent.

    room: by mailbox, how many that may have been without any effect on what waits. Of those that
    stayed within it nothing is read, and nothing said.
    """
    counts = _counts_lately(list(room))
    busy = [box_id for box_id, most in room.items() if counts.get(box_id, 0) > most]
    found: dict[int, list[datetime]] = {box_id: [] for box_id in busy}
    for query in _moments_lately(busy) if busy else ():
        for box_id, at in db.session.execute(query):
            if box_id is not None and at is not None:
                found[box_id].append(at)
    return {box_id: tuple(moments) for box_id, moments in found.items()}


def _counts_lately(box_ids: list[int]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for query in _moments_lately(box_ids):
        some = query.subquery()
        grouped = select(some.c.mailbox_id, func.count()).group_by(some.c.mailbox_id)
        for box_id, count in db.session.execute(grouped):
            counts[box_id] = counts.get(box_id, 0) + count
    return counts


def _moments_lately(box_ids: list[int]) -> tuple[Lately, Lately]:
    """What was accepted in the last 24 hours, and what is unclear of them."""
    mine, since = Dispatch.mailbox_id.in_(box_ids), now() - pace.DAY
    unclear = Dispatch.state.in_((State.SUBMITTING, State.UNKNOWN))
    accepted = select(Dispatch.mailbox_id, Dispatch.accepted_at)
    handed_over = select(Dispatch.mailbox_id, Dispatch.handed_over_at)
    return (
        accepted.where(mine, Dispatch.accepted_at > since),
        handed_over.where(mine, unclear, Dispatch.handed_over_at > since),
    )


# -- learning --------------------------------------------------------------------------------------


def learn(mailbox_id: int) -> None:
    """The provider refused the pace of a minute: go slower for a day. The caller commits."""
    box = db.session.get_one(Mailbox, mailbox_id, populate_existing=True)
    db.session.execute(
        update(Mailbox)
        .where(
            Mailbox.id == mailbox_id,
            or_(Mailbox.learned_at.is_(None), Mailbox.learned_at < db_now(-LESSON)),
        )
        .values(learned_units=pace.slower(units_of(box)), learned_at=db_now())
        .execution_options(synchronize_session=False)
    )


def obey(mailbox_id: int, answer: ProviderAnswer, attempt: int = 1) -> None:
    """Leave a mailbox alone after "not now", for as long as its provider asks. Commits.

    If it was too fast for the provider, it goes on slower.
    """
    if isinstance(answer, TryLater):
        seconds = pace.patience(attempt, answer.after, exact=answer.exact)
        kind = health.pause_of(answer.after, exact=answer.exact, too_fast=answer.too_fast)
        if answer.too_fast:
            journal.write(lambda: learn(mailbox_id))
    else:
        seconds, kind = OPERATORS_TURN, health.Pause.OPERATOR
    mailboxes.pause(mailbox_id, seconds, answer.message, kind)


def note_failure(mailbox_id: int, answer: ProviderAnswer) -> None:
    """Remember a look that failed on the way, though nothing waits to be sent. Commits."""
    if isinstance(answer, TryLater | OperatorProblem):
        obey(mailbox_id, answer)


# -- foreseeing ------------------------------------------------------------------------------------


def load(box: Mailbox, waiting: int, ahead: int = 0, lane: Lane = Lane.BATCH) -> pace.Load:
    """What a mailbox has to do, for pace.forecast(); ahead: so many go before these."""
    return replace(task(box, waiting, ahead, lane), sent=tuple(sent_lately(box.id)))


def task(box: Mailbox, waiting: int, ahead: int = 0, lane: Lane = Lane.BATCH) -> pace.Load:
    """The same without what it sent before; with_days() reads that of many at once."""
    limits = limits_of(box)
    if lane != Lane.BATCH:
        limits = replace(limits, kept=0)
    opens_at = box.paused_until if box.is_paused else None
    return pace.Load(box.id, box.email, waiting, limits, ahead, opens_at=opens_at)


def with_days(tasks: Mapping[int, pace.Load], more: Mapping[int, int]) -> dict[int, pace.Load]:
    """What mailboxes have to do, with what each sent in the last 24 hours where that counts.

    more: so many further messages may come to a mailbox beside those of its task.
    """
    room = {
        box_id: pace.daily(one.limits) - one.ahead - one.waiting - more.get(box_id, 0)
        for box_id, one in tasks.items()
    }
    sent = sent_where_it_counts(room)
    return {box_id: replace(one, sent=sent.get(box_id, ())) for box_id, one in tasks.items()}


def expected(box: Mailbox, ahead: int, lane: Lane = Lane.BATCH) -> datetime:
    """When a message of a lane leaves, at the earliest, with so many before it."""
    return pace.forecast(load(box, 1, ahead, lane), now()).done_by


def waiting_in(mailbox_ids: Iterable[int]) -> dict[int, int]:
    """How many messages are in each mailbox's queue, or just being handed over."""
    going = Dispatch.state.in_((State.QUEUED, State.SUBMITTING))
    query = select(Dispatch.mailbox_id, func.count()).group_by(Dispatch.mailbox_id)
    found = db.session.execute(query.where(Dispatch.mailbox_id.in_(mailbox_ids), going))
    return {box_id: count for box_id, count in found if box_id is not None}
