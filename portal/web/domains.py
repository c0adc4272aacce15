"""Sender domains: what each publishes, whether mail from it passes, and the record to add."""

from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, abort, flash, request, url_for
from flask.typing import ResponseReturnValue

from portal import domains
from portal.domains import BadSelector, Domain, Sender, TooSoon
from portal.published import dkim, dmarc, judging, names
from portal.published.findings import Severity
from portal.published.judging import Report, Tone
from portal.published.spf import MOST_LOOKUPS
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
        """The providers that send for it: "Gmail and Microsoft 365"."""
        return " and ".join(dict.fromkeys(way.label for way in self.sender.ways))

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
class Proof:
    """What an outside receiver said of a test mail through one provider."""

    label: str
    passed: bool
    host: str
    at: datetime
    said: str


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
    return page(
        "domains/show.html",
        None,
        status,
        one=one,
        report=report,
        ways=sorted(report.ways, key=lambda each: judging.WORST_FIRST.index(each.tone)),
        bad=[each for each in found if each.severity is not Severity.INFO],
        good_to_know=[each for each in found if each.severity is Severity.INFO],
        proofs=_proofs(one),
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


def _proofs(one: Row) -> list[Proof]:
    kept = one.row.proofs if one.row else {}
    return [
        Proof(
            way.label,
            kept[way.key]["dmarc"] == "pass",
            kept[way.key]["host"],
            datetime.fromisoformat(kept[way.key]["at"]),
            " · ".join(
                f"{method.upper()} {kept[way.key][method] or 'not tried'}"
                for method in ("spf", "dkim", "dmarc")
            ),
        )
        for way in one.sender.ways
        if way.key in kept
    ]
