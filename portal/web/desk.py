"""The desk: everything the send page shows of a document that is about to be sent."""

from dataclasses import dataclass
from datetime import datetime

from flask import url_for
from flask_login import current_user

from portal import bounces, health, ledger, policy
from portal.checks import Problem, Sending, preflight
from portal.columns import now
from portal.dispatch import Dispatch, State, of_document
from portal.documents import Document, mail
from portal.documents.files import megabytes
from portal.documents.pdf import DrawingProblem
from portal.extensions import db
from portal.mailboxes import Mailbox
from portal.people import Contact
from portal.recipients import Reached, Recipients, reached
from portal.senders import Choice, Mode, Rule, Scope, Trouble
from portal.web import consents
from portal.web.guard import whom_to_ask

#: What the page itself can put right: these never take the button away.
MENDED_HERE = {
    *("no_recipient", "bad_recipient", "too_many_recipients", "no_copy"),
    *("slip", "came_back"),
}
#: A sending after which nobody is asked whether it should really go out again.
GONE_BY = {State.CANCELLED, State.REFUSED, State.RETURNED}


@dataclass(frozen=True)
class Typed:
    """What the page's form says: To and Cc, None where they cannot be read; the chosen sender."""

    to: tuple[str, ...] | None
    cc: tuple[str, ...] | None
    once: Rule | None


@dataclass(frozen=True)
class Fix:
    """A problem, and the one place that puts it right."""

    problem: Problem
    href: str = ""
    label: str = ""
    ask: str = ""


@dataclass(frozen=True)
class Offer:
    """A sender that may be chosen for this one sending; key "" follows the rules."""

    key: str
    choice: Choice
    chosen: bool


@dataclass(frozen=True)
class Desk:
    """What there is to see before somebody presses Send."""

    document: Document
    choice: Choice
    offers: list[Offer]
    reached: Reached | None
    recipients: Recipients
    earlier: Dispatch | None
    sender_fix: Fix | None
    notices: list[Fix]
    blocking: list[Fix]
    enclosed: list[tuple[str, str]]
    total: str
    provider: str
    checked: datetime | None
    away_since: datetime | None
    paused_until: datetime | None
    full_until: datetime | None
    a_day: int
    rule_href: str


def laid_out(document: Document, typed: Typed, more: list[Problem]) -> Desk:
    """The desk of one document; more: problems that pressing the button brought up."""
    choice = policy.sender_of(document, current_user, typed.once)
    box = db.session.get(Mailbox, choice.mailbox_id) if choice.mailbox_id else None
    to, cc = typed.to or (), typed.cc or ()
    found = preflight(Sending(document, choice, to, cc, bounces.cautions_of((*to, *cc))))
    found += [one for one in more if one.code not in {other.code for other in found}]
    facts = document.facts()
    enclosed, unprintable = _enclosed(document)
    found += unprintable
    about_sender = [one for one in found if _is_about_sender(one, choice)]
    others = [one for one in found if one not in about_sender]
    receivers = document.recipients()
    readable = typed.to is not None and typed.cc is not None
    return Desk(
        document=document,
        choice=choice,
        offers=_offers(document, choice),
        reached=reached(receivers, typed.to or (), typed.cc or ()) if readable else None,
        recipients=receivers,
        earlier=earlier(document),
        sender_fix=_fix(about_sender[0], document, choice) if about_sender else None,
        notices=[_fix(one, document, choice) for one in others if one.code in MENDED_HERE],
        blocking=[
            _fix(one, document, choice)
            for one in found
            if one.blocking and one.code not in MENDED_HERE
        ],
        enclosed=enclosed,
        total=facts.money(facts.total),
        provider=box.provider_name if box else "",
        checked=box.addresses_checked_at if box else None,
        away_since=_away_since(box),
        paused_until=box.paused_until if box and box.is_paused else None,
        full_until=ledger.full_until(box) if box else None,
        a_day=ledger.limits_of(box).per_day if box else 0,
        rule_href=_rule_href(document.kind, choice),
    )


def _away_since(box: Mailbox | None) -> datetime | None:
    """Since when whoever carries its mail has not been reached; None while they are."""
    found = health.judge(box.facts(), now()) if box is not None else None
    away = found is not None and found.condition is health.Condition.UNREACHABLE
    return found.since if found is not None and away else None


def earlier(document: Document) -> Dispatch | None:
    """The last sending that left, or still may."""
    real = [one for one in of_document(document) if not one.is_test]
    return next((one for one in real if one.state not in GONE_BY or one.never_known), None)


def _is_about_sender(one: Problem, choice: Choice) -> bool:
    return not choice.ready and one.code.startswith(("sender_", "no_sender"))


def _enclosed(document: Document) -> tuple[list[tuple[str, str]], list[Problem]]:
    """What goes along, by name and size, and why the paper cannot be drawn."""
    files = [(one.filename, megabytes(one.size)) for one in document.files]
    try:
        paper = mail.paper(document.facts())
    except DrawingProblem as problem:
        return files, [Problem("paper", str(problem), "", "settings")]
    return [(paper.filename, megabytes(len(paper.content))), *files], []


def _offers(document: Document, choice: Choice) -> list[Offer]:
    """What this person may choose instead, the way of the rules first; none for most people."""
    found = policy.once_choices(document, current_user)
    if not found:
        return []
    ruled, chosen = policy.sender_of(document, current_user), policy.once_key(choice)
    keyed = {policy.once_key(one): one for one in found}
    others = {key: one for key, one in keyed.items() if one.sender != ruled.sender or key == chosen}
    return [Offer(key, one, key == chosen) for key, one in {"": ruled, **others}.items()]


def _rule_href(kind: str, choice: Choice) -> str:
    """Where a manager changes the rule that chose this From; nothing for anybody else."""
    rule = choice.rule
    if not current_user.is_manager or (rule and rule.scope is Scope.SENDING):
        return ""
    if rule and rule.scope is not Scope.COMPANY:
        return url_for("rules.index")
    return url_for("policy.edit", kind=kind if rule and rule.kind else None)


def _fix(problem: Problem, document: Document, choice: Choice) -> Fix:
    """Where this person puts a problem right, or whom they ask."""
    if problem.fix == "document":
        href = url_for("documents.edit", document_id=document.id)
        return Fix(problem, href, f"Edit {document.number}")
    if problem.fix == "contact":
        return _contact_fix(problem, document)
    if problem.fix == "property" and document.property_ is not None:
        where = document.property_
        href = url_for("properties.show", property_id=where.id)
        return Fix(problem, href, f"Open {where.name}")
    if not problem.fix:
        return Fix(problem)
    return _sender_fix(problem, choice)


def _contact_fix(problem: Problem, document: Document) -> Fix:
    found = db.session.get(Contact, problem.contact_id) if problem.contact_id else None
    contact = found or document.contact
    back = url_for("sendings.new", document_id=document.id)
    href = url_for("contacts.edit", contact_id=contact.id, next=back)
    label = f"Open {contact.name}" if contact.email else f"Add an address to {contact.name}"
    return Fix(problem, href, label)


def _sender_fix(problem: Problem, choice: Choice) -> Fix:
    if choice.sender is not None and choice.trouble is Trouble.CONSENT:
        href, label = consents.next_step(choice.sender.email)
        return Fix(problem, href, label) if href else Fix(problem, ask=f"Ask {whom_to_ask()}.")
    own = choice.sender is not None and choice.sender.email == current_user.email
    if own and choice.mode in (Mode.USER, Mode.ACCOUNT_MANAGER):
        return Fix(problem, url_for("profile.show"), "Set up my address")
    if current_user.is_manager:
        return Fix(problem, url_for("settings.show"), "Open System settings")
    return Fix(problem, ask=f"Ask {whom_to_ask()}.")
