"""Sender domains: what each publishes, whether mail from it passes, and the record to add."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Blueprint, abort, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import domains, testimonies
from portal.domains import BadSelector, Domain, Sender, TooSoon
from portal.extensions import limiter
from portal.published import dkim, dmarc, judging, names, results
from portal.published.findings import Severity
from portal.published.judging import Report, Tone
from portal.published.results import Proof
from portal.published.spf import MOST_LOOKUPS
from portal.testimonies import CannotProve, Outcome, Prospect, Testimony
from portal.web.guard import managers_only
from portal.web.page import page, see_other

pages = Blueprint("domains", __name__)

#: Seconds that somebody waits at most who wants it looked up now.
AT_ONCE = 4.0
WORST_FIRST = (Tone.BAD, Tone.WARN, Tone.OPEN, Tone.GOOD)
SEVEREST_FIRST = tuple(Severity)


@dataclass(frozen=True)
class Row:
    """One domain of the list; row None: nobody has asked for it yet."""

    sender: Sender
    row: Domain | None
    report: Report
    not_asked: str

    @property
    def name(self) -> str:
        return names.shown(self.sender.name)

    @property
    def through(self) -> str:
        """The providers that send for it: "Gmail, Microsoft 365 and the portal’s relay"."""
        *others, last = dict.fromkeys(way.label for way in self.sender.ways) or [""]
        return f"{', '.join(others)} and {last}" if others else last

    @property
    def verdict(self) -> tuple[Tone, str]:
        """A light and its words, for the list and the head of the page."""
        if not self.sender.ways:
            return Tone.OPEN, "No mailbox sends for it"
        if self.report.owner:
            fine = self.report.tone is Tone.GOOD
            return self.report.tone, "In order" if fine else "Does not pass"
        if self.row is None or self.row.checked_at is None:
            return Tone.OPEN, "Not looked up" if self.not_asked else "Not looked up yet"
        return self.report.tone, {
            Tone.GOOD: "In order",
            Tone.WARN: "Passes, with something to improve",
            Tone.BAD: "Does not pass",
            Tone.OPEN: "Not known",
        }[self.report.tone]


@dataclass(frozen=True)
class Line:
    """What is proved through one provider, and what can be proved now.

    proof: by the newest test mail that was read, host and at: whose word it is, and when; advice:
    what to do about it. last: the newest test mail; trouble: why it told nothing, as one sentence.
    """

    prospect: Prospect
    proof: Proof | None
    host: str
    at: datetime | None
    advice: list[str]
    last: Testimony | None
    trouble: str

    @property
    def going(self) -> bool:
        return self.last is not None and self.last.is_open


@pages.get("/domains")
def index() -> ResponseReturnValue:
    """Every domain that mail comes from, those in trouble first."""
    stored = domains.known()
    rows = [_row(sender, stored.get(name)) for name, sender in domains.in_use().items()]
    rows.sort(key=lambda one: (WORST_FIRST.index(one.verdict[0]), one.sender.name))
    return page("domains/index.html", rows=rows)


@pages.get("/domains/<domain>")
def show(domain: str) -> ResponseReturnValue:
    """One domain: the three lights for each provider, and what to put right."""
    return _page(domain)


@pages.post("/domains/<domain>/checks")
@managers_only
def check(domain: str) -> ResponseReturnValue:
    """Look it up now."""
    one = _known(domain)
    if one.not_asked:
        flash(one.not_asked, "info")
        return see_other(url_for(".show", domain=domain))
    try:
        found = domains.check(one.sender.name, AT_ONCE)
    except TooSoon:
        flash("It was looked up a moment ago.", "info")
    else:
        _say(found)
    return see_other(url_for(".show", domain=domain))


@pages.post("/domains/<domain>/selectors")
@managers_only
def update(domain: str) -> ResponseReturnValue:
    """Remember where its DKIM keys are, and look there."""
    one = _known(domain)
    typed = request.form.get("selectors", "")[:400]
    try:
        domains.set_selectors(one.sender.name, typed)
    except BadSelector as problem:
        return _page(domain, typed=typed, problem=str(problem), status=422)
    return check(domain)


@pages.post("/domains/<domain>/proofs")
@managers_only
@limiter.limit("60 per hour", key_func=lambda: f"proofs:{current_user.id}")
def prove(domain: str) -> ResponseReturnValue:
    """Send a test mail through one provider, and read what the receiving side finds."""
    name = _known(domain).sender.name
    try:
        testimonies.begin(name, request.form.get("way", "")[:400], current_user)
    except CannotProve as problem:
        flash(str(problem), "warn")
    return see_other(url_for(".show", domain=domain, _anchor="proof"))


def _say(found: Report) -> None:
    silent = found.survey is not None and not found.survey.answer.is_certain
    if silent:
        flash("Nobody answered in time. It is tried again within the hour.", "warn")
    else:
        flash("Looked up just now.", "good" if found.tone is Tone.GOOD else "info")


def _page(
    domain: str, typed: str | None = None, problem: str = "", status: int = 200
) -> ResponseReturnValue:
    one = _known(domain)
    row, report = one.row, one.report
    found = sorted(report.findings, key=lambda each: SEVEREST_FIRST.index(each.severity))
    lines = _lines(one)
    return page(
        "domains/show.html",
        "proof" if status == 200 else None,
        status,
        one=one,
        report=report,
        ways=sorted(report.ways, key=lambda each: judging.WORST_FIRST.index(each.tone)),
        bad=[each for each in found if each.severity is not Severity.INFO],
        good_to_know=[each for each in found if each.severity is Severity.INFO],
        lines=lines,
        going=any(each.going for each in lines),
        keys=[key for key in report.keys if dkim.exists(key)],
        key_name=dkim.name_of,
        most_lookups=MOST_LOOKUPS,
        policy_words=POLICY_WORDS,
        typed=typed if typed is not None else " ".join(row.chosen if row else ()),
        problem=problem,
    )


POLICY_WORDS = {
    dmarc.Policy.NONE: "only watch (p=none)",
    dmarc.Policy.QUARANTINE: "put it into the spam folder (p=quarantine)",
    dmarc.Policy.REJECT: "refuse it (p=reject)",
}


def _known(domain: str) -> Row:
    """A domain that mail comes from, or came from; else there is no such page."""
    sender, row = domains.in_use().get(domain), domains.stored(domain)
    if sender is None and row is None:
        abort(404)
    return _row(sender or Sender(domain, (), ()), row)


def _row(sender: Sender, row: Domain | None) -> Row:
    stored = row or Domain(name=sender.name, records={}, selectors="", proofs={})
    return Row(sender, row, domains.report(stored, sender), domains.why_not_asked(sender.name))


#: Why a test mail told nothing, and what to do.
TOLD_NOTHING = {
    Outcome.SILENT: (
        "The test mail arrived in {box}, but its provider wrote down nothing of what it checked: "
        "within one company it often does not. Connect a mailbox elsewhere, such as a free Gmail "
        "address, and try again."
    ),
    Outcome.MISSING: (
        "The test mail did not arrive in the inbox of {box} within 20 minutes. Look in its spam "
        "folder: if it lies there, the points under “What to do” are why."
    ),
    Outcome.UNSENT: "The test mail did not leave, so nothing was proved.",
    Outcome.UNREADABLE: (
        "{box} could not be read any more, so nothing was proved. Connect it again, then try again."
    ),
}


def _lines(one: Row) -> list[Line]:
    kept, last = (one.row.proofs if one.row else {}), testimonies.latest(one.sender.name)
    found = testimonies.prospects(one.sender.name, current_user)
    return [_line(one, each, kept.get(each.way.key), last.get(each.way.key)) for each in found]


def _line(
    one: Row, prospect: Prospect, kept: dict[str, Any] | None, last: Testimony | None
) -> Line:
    words = TOLD_NOTHING.get(Outcome(last.outcome), "") if last else ""
    trouble = words.format(box=last.receiver.email) if last else ""
    if kept is None:
        return Line(prospect, None, "", None, [], last, trouble)
    proof, way = Proof.from_json(kept), prospect.way
    advice = results.advice(proof, one.name, way.title, way.key_help)
    at = datetime.fromisoformat(kept["at"])
    return Line(prospect, proof, kept["host"], at, advice, last, trouble)
