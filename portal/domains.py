"""Sender domains: what each domain that mail comes from publishes, asked for every night, and who
is told when one that passed passes no more.

Judging is portal.published; here is what is stored of it, and when it is asked.
"""

import logging
import math
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from flask import current_app
from sqlalchemy import JSON, Text, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from portal import alarms, dispatch, instance, journal, queueing
from portal.accounts import User, managers
from portal.columns import UtcDateTime, now
from portal.config import Config
from portal.dispatch import Dispatch
from portal.envelope import Mailable
from portal.extensions import Base, db
from portal.mailboxes import Address, Health, Mailbox, company_mailboxes
from portal.people import company
from portal.published import asking, dmarc, judging, names, receiving
from portal.published.answers import Answer, Question, Sheet, as_json, from_json
from portal.published.judging import Report, Tone
from portal.published.receiving import Receiving, Takes
from portal.published.results import Proof
from portal.published.ways import Way, way_of
from portal.senders import SendFrom
from portal.stores import reading, rows_changed

#: A domain is asked for again in the night, and at the latest after so long; where nobody answered,
#: within the hour.
NIGHT, A_DAY, AT_LATEST = range(1, 6), timedelta(hours=20), timedelta(hours=30)
UNANSWERED = timedelta(hours=1)
#: Seconds between two looks at what is due, and how many domains are asked for in one.
PAUSE, A_FEW = 60.0, 3
#: The addresses that mail may come from.
IN_USE = ("accepted", "pending", "wanted", "untried")
SELECTOR = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9_-]{1,63}){0,3}")
MOST_SELECTORS = 6

log = logging.getLogger(__name__)


class Domain(Base):
    """What was found of one domain when it was last asked for.

    asked_at: when somebody last set out to ask. records: the answers (published.answers.as_json).
    findings: what was found wrong (published.findings). tone: the verdict. passed_at: when mail of
    it last was in order. failing_since: since when it no longer is, if it ever was. proofs: by
    Way.key, what a test mail proved (published.results.Proof), by whose word ("host") and "at".
    """

    __tablename__ = "domains"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    selectors: Mapped[str] = mapped_column(Text, default="")
    asked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    checked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    records: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    findings: Mapped[list[Any]] = mapped_column(JSON, default=list)
    tone: Mapped[str] = mapped_column(default=Tone.OPEN)
    passed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    failing_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    proofs: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)

    @property
    def shown(self) -> str:
        return names.shown(self.name)

    @property
    def chosen(self) -> list[str]:
        """The DKIM selectors that somebody wrote down."""
        return self.selectors.split()

    @property
    def answers(self) -> dict[Question, Answer]:
        return from_json(self.records)

    @property
    def unanswered(self) -> bool:
        """Whether something could not be found out the last time."""
        return any(not one.is_certain for one in self.answers.values())


class BadSelector(ValueError):
    """What was written is no DKIM selector; the message says what one looks like."""


class TooSoon(Exception):
    """It was asked for a moment ago, by somebody else or by a second tap."""


@dataclass(frozen=True)
class Sender:
    """A domain that mail comes from: through which ways, and under which addresses."""

    name: str
    ways: tuple[Way, ...]
    addresses: tuple[str, ...]


# -- which domains -------------------------------------------------------------------------------


def in_use() -> dict[str, Sender]:
    """The domains of every send-from address and of everybody who signs in, by name."""
    ways: dict[str, dict[str, Way]] = {}
    emails: dict[str, set[str]] = {}
    for address, box in _addresses():
        domain = names.domain_of(address)
        way = _way(box, domain)
        ways.setdefault(domain, {})[way.key] = way
        emails.setdefault(domain, set()).add(address)
    usual = next((box for box in company_mailboxes() if _is_connected(box)), None)
    for email in db.session.scalars(select(User.email).where(User.active)):
        domain = names.domain_of(email)
        if domain not in ways:  # the way it would take once it is added to the default mailbox
            ways[domain] = {"": _way(usual, domain)} if usual else {}
        emails.setdefault(domain, set()).add(email)
    return {
        domain: Sender(domain, _told_apart(ways[domain].values()), tuple(sorted(emails[domain])))
        for domain in sorted(ways)
        if domain
    }


def through(name: str) -> dict[Way, list[tuple[str, Mailbox]]]:
    """The ways of a domain, each with the addresses of it that leave by it, and their mailboxes."""
    sender = in_use().get(name)
    found: dict[Way, list[tuple[str, Mailbox]]] = {}
    for email, box in _addresses() if sender else ():
        if names.domain_of(email) == name:
            key = _way(box, name).key
            way = next(one for one in sender.ways if one.key == key)  # type: ignore[union-attr]
            found.setdefault(way, []).append((email, box))
    return found


def _told_apart(ways: Iterable[Way]) -> tuple[Way, ...]:
    """Two mailboxes at one provider are called by the provider and their domain."""
    found = list(ways)
    labels = [one.label for one in found]
    return tuple(
        replace(one, called=f"{one.label} of {names.shown(one.envelope)}")
        if labels.count(one.label) > 1
        else one
        for one in found
    )


def _addresses() -> list[tuple[str, Mailbox]]:
    query = select(Address.email, Mailbox).join(Address.mailbox)
    query = query.where(Address.verification.in_(IN_USE)).order_by(Address.id)
    return [(email, box) for email, box in db.session.execute(query) if _is_connected(box)]


def _is_connected(box: Mailbox) -> bool:
    return box.health != Health.DISCONNECTED


def _way(box: Mailbox, domain: str) -> Way:
    """How mail of a domain leaves through a mailbox."""
    host = str(box.server.get("host", ""))
    if box.is_relay:
        host = urlsplit(_config().RELAY_URL).hostname or ""
    way = way_of(box.provider, names.domain_of(box.email), host, author=domain)
    # Where a server of one's own network stands is nothing for a page.
    if box.is_relay or (way.label == host and box.provider_name != host):
        return replace(way, label=box.provider_name if box.is_relay else "your mail server")
    return way


def known() -> dict[str, Domain]:
    """What is stored, by name."""
    return {one.name: one for one in db.session.scalars(select(Domain).order_by(Domain.name))}


def stored(name: str) -> Domain | None:
    return db.session.scalar(select(Domain).where(Domain.name == name))


def failing() -> list[Domain]:
    """The domains that passed once and pass no more."""
    query = select(Domain).where(Domain.failing_since.is_not(None)).order_by(Domain.name)
    return list(db.session.scalars(query))


def report(domain: Domain, sender: Sender | None) -> Report:
    """Judge what is stored by the ways in use now: nobody is asked."""
    ways = sender.ways if sender else ()
    return judging.judge(domain.name, ways, domain.answers, domain.chosen)


# -- asking --------------------------------------------------------------------------------------


def why_not_asked(name: str) -> str:
    """Why nobody is asked for a domain, as one sentence; empty when somebody is."""
    setting = _config().DNS_RESOLVER
    if setting == "off":
        return "Looking up domains is switched off here (the setting DNS_RESOLVER)."
    if not setting and names.is_reserved(name):
        return f"{name} is a name for trying out, which nobody can look up."
    if names.owner_of(name):
        return "It belongs to a mail provider, which looks after its records."
    return ""


def check(name: str, patience: float = asking.PATIENCE) -> Report:
    """Ask for a domain now, and store what was found. Ends what is open in this thread.

    patience: seconds it may take at most. Raises TooSoon when somebody is about it already.
    """
    made = journal.write(lambda: _set_out(name))
    if made is None:
        raise TooSoon
    with reading():
        sender = in_use().get(name) or Sender(name, (), ())
        chosen = _row(name).chosen
    answers: dict[Question, Answer] = {}
    if not why_not_asked(name):
        answers = asking.find_out(
            lambda sofar: judging.judge(name, sender.ways, sofar, chosen).wanted, _ask(), patience
        )
    found = judging.judge(name, sender.ways, answers, chosen)
    journal.write(lambda: _keep(name, answers, found))
    return found


def taking_mail(
    emails: Iterable[str], patience: float = asking.PATIENCE_FOR_ONE
) -> dict[str, Receiving]:
    """Whether the domains of these addresses take mail, by address. Stores nothing, and ends what
    is open in this thread.

    patience: seconds that all of them together may take.
    """
    domains = {email: names.domain_of(email) for email in emails}
    known = {name: _receiving_unasked(name) for name in set(domains.values())}
    open_ = {name for name, found in known.items() if found is None}
    answers: dict[Question, Answer] = {}
    if open_:
        db.session.rollback()
        answers = asking.find_out(lambda sofar: receiving.wanted(sofar, open_), _ask(), patience)
    judged = receiving.judge_all(answers, open_)
    return {email: known[name] or judged[name] for email, name in domains.items()}


def _receiving_unasked(name: str) -> Receiving | None:
    """What can be said of a domain without asking for it; None where it is to be asked for."""
    if not name:
        return Receiving(Takes.NO_NAME)
    if names.owner_of(name):
        return Receiving(Takes.YES, note="It is a mail provider's domain.")
    why = why_not_asked(name)
    return Receiving(Takes.UNASKED, note=why) if why else None


def _set_out(name: str) -> int | None:
    """Claim the asking of a domain; its id, or None where another has done so a moment ago."""
    found = stored(name)
    if found is None:
        return _made(name)
    before = (Domain.asked_at.is_(None)) | (Domain.asked_at < now() - timedelta(seconds=3))
    claim = update(Domain).where(Domain.id == found.id, before).values(asked_at=now())
    return found.id if rows_changed(db.session.execute(claim)) else None


def _made(name: str) -> int | None:
    made = Domain(name=name, asked_at=now())
    try:
        with db.session.begin_nested():
            db.session.add(made)
    except IntegrityError:  # another made it at the same moment, and asks
        return None
    return made.id


def _row(name: str) -> Domain:
    return db.session.scalars(select(Domain).where(Domain.name == name)).one()


def _keep(name: str, answers: dict[Question, Answer], found: Report) -> None:
    row = _row(name)
    row.records = as_json(answers)
    row.findings = [one.as_json() for one in found.findings]
    row.tone, row.checked_at = found.tone, now()
    if found.tone in (Tone.GOOD, Tone.WARN):
        row.passed_at, row.failing_since = now(), None
    elif found.tone is Tone.BAD and row.passed_at is not None and row.failing_since is None:
        row.failing_since = now()
    elif found.tone is Tone.OPEN and not found.ways:
        row.failing_since = None  # nothing is sent from it any more


def _ask() -> asking.Ask:
    made: asking.Ask = current_app.extensions.setdefault(
        "resolver", asking.Resolver(_config().dns_servers)
    )
    return made


def _config() -> Config:
    config: Config = current_app.config["PORTAL"]
    return config


# -- the nightly round ---------------------------------------------------------------------------


def look_again(ends: float = math.inf) -> int:
    """Ask for the domains that are due, a few at most; how many it were. Raises nothing.

    ends: when (monotonic) to begin no more. It looks for what is due once a minute.
    """
    looked: dict[str, float] = current_app.extensions.setdefault("domains", {"at": -math.inf})
    if _config().DNS_RESOLVER == "off" or time.monotonic() < looked["at"] + PAUSE:
        return 0
    looked["at"] = time.monotonic()
    asked = 0
    for name in _due()[:A_FEW]:
        if queueing.stopping.is_set() or time.monotonic() >= ends:
            break
        asked += _checked(name)
    tell_managers()
    return asked


def _checked(name: str) -> bool:
    try:
        check(name)
    except TooSoon:
        return False
    except Exception:
        journal.undo()
        log.exception("the records of a sender domain could not be looked up")
        return False
    return True


def _due() -> list[str]:
    """The domains to ask for now, those that never were first."""
    with reading():
        rows, zone = known(), ZoneInfo(company().time_zone)
        wanted = {name: one for name, one in in_use().items() if not why_not_asked(name)}
        gone = [one.name for one in rows.values() if one.failing_since and one.name not in wanted]
    due = [
        name
        for name, sender in wanted.items()
        if name not in rows or is_due(rows[name], now(), zone) or lacks(rows[name], sender)
    ]
    return sorted([*gone, *due], key=lambda name: (name in rows, name))


def lacks(row: Domain, sender: Sender) -> bool:
    """Whether something was never asked: a mailbox at another provider has come since."""
    return row.checked_at is not None and bool(report(row, sender).wanted)


def is_due(row: Domain, at: datetime, zone: ZoneInfo) -> bool:
    """Whether a domain is to be asked for at a moment: in the company's night, once."""
    if row.asked_at is None or row.checked_at is None:
        return row.asked_at is None or at - row.asked_at > UNANSWERED
    age = at - row.asked_at
    if row.unanswered:
        return age > UNANSWERED
    return age > AT_LATEST or (age > A_DAY and at.astimezone(zone).hour in NIGHT)


# -- telling -------------------------------------------------------------------------------------


def tell_managers() -> int:
    """Mail each manager once for each time a domain stops passing. Commits.

    Returns how many mails were asked for, now or before. One that cannot be written keeps nobody
    else from being told.
    """
    with reading():
        rows = failing() if instance.may_send() else []
        through = alarms.other_sender() if rows else None
        people = managers() if through else []
    return sum(_is_told(row, person, through) for row in rows for person in people if through)


def _is_told(row: Domain, manager: User, through: SendFrom) -> bool:
    failing = "a manager could not be told of a sender domain"
    return journal.by_itself(lambda: _tell(row, manager, through), log, failing) is not None


def _tell(row: Domain, manager: User, through: SendFrom) -> Dispatch:
    to = Mailable(manager.email, manager.name)
    subject = f"Mail from {row.shown} no longer passes the check for forged senders"
    return dispatch.notice(_key(row, manager), to, subject, _body(row, manager), through)


def _key(row: Domain, user: User) -> str:
    since = f"{row.failing_since:%Y%m%d%H%M%S%f}" if row.failing_since else ""
    return f"domain/{row.id}/{since}/{user.id}"


def _body(row: Domain, manager: User) -> str:
    said = [f"- {one['message']}" for one in row.findings if one["severity"] != "info"]
    return (
        f"Hello {manager.name.split()[0]},\n\n"
        f"what {row.shown} publishes has changed. Until lately mail from it was in "
        f"order; now customers may find it in their spam folder, or not at all:\n\n"
        f"{chr(10).join(said)}\n\n"
        f"What to do: open {_config().PUBLIC_URL}/domains/{row.name}. It shows the record to put "
        f"right, to copy.\n\n"
        f"{company().name}, by Sendwright"
    )


# -- what people and test mails add --------------------------------------------------------------


def set_selectors(name: str, typed: str) -> None:
    """Remember where a domain's DKIM keys are. Raises BadSelector, having changed nothing. Commits.

    typed: selectors with commas or spaces between them; whole names are cut to their selector.
    """
    words = [word.lower() for word in re.split(r"[\s,;]+", typed) if word]
    found = list(dict.fromkeys(word.partition("._domainkey")[0] for word in words))
    wrong = next((one for one in found if not SELECTOR.fullmatch(one)), None)
    if wrong is not None:
        raise BadSelector(
            f"“{wrong[:60]}” is no DKIM selector. One is a short word such as “google” or “s1”."
        )
    if len(found) > MOST_SELECTORS:
        raise BadSelector(f"Write at most {MOST_SELECTORS} selectors.")
    row = stored(name)
    if row is None:
        row = Domain(name=name)
        db.session.add(row)
    row.selectors = " ".join(found)
    row.asked_at = None  # so that it is looked up anew
    db.session.commit()


def counting_for(domain: Domain) -> Callable[[str, str], bool]:
    """Whether what a method spoke for counts as this domain's own, by what is stored of it: the
    same organisation, or the very same where its policy is strict."""
    sheet, name = Sheet(domain.answers), domain.name
    author = dmarc.find(sheet, name)

    def counts(method: str, other: str) -> bool:
        record = author.record
        strict = record is not None and (
            record.strict_spf if method == "spf" else record.strict_dkim
        )
        if other == name or strict or not other:
            return other == name
        if not domain.answers:  # nobody was asked: by their names
            return names.is_within(other, name) or names.is_within(name, other)
        near = names.is_within(other, author.organisation)
        return near and dmarc.is_aligned(sheet, author, other)

    return counts


def remember_proof(domain: Domain, way_key: str, host: str, proof: Proof) -> None:
    """Keep what a receiving mailbox's provider found of a test mail. The caller commits."""
    kept = proof.as_json() | {"host": host, "at": now().isoformat()}
    domain.proofs = {**domain.proofs, way_key: kept}
