"""Pages of inquiries: "Did she get it?", with every step that was gone through to find out."""

from dataclasses import dataclass

from flask import Blueprint, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import dispatch, domains, inquiry
from portal.checks import Problem
from portal.dispatch import Dispatch
from portal.documents import Document
from portal.extensions import db, limiter
from portal.inquiry import Inquiry, Reach
from portal.mailboxes import Mailbox
from portal.senders import Trouble
from portal.web import arrivals, consents
from portal.web.documents import document_or_404
from portal.web.guard import whom_to_ask
from portal.web.page import page

pages = Blueprint("inquiries", __name__)

#: The steps that tell what became of it once somebody had pressed Send.
WHAT_BECAME = ("came", "leaving", "waiting")


@pages.app_template_filter()
def got_it(document: Document) -> str:
    """The question, as one asks it of this customer: "Did Mary get it?"."""
    return f"Did {document.contact.first_name or 'they'} get it?"


@dataclass(frozen=True)
class Way:
    """Where a problem is put right; without an href, whom to ask. outside: not in the portal."""

    label: str
    href: str = ""
    outside: bool = False


@pages.get("/documents/<int:document_id>/inquiry")
def show(document_id: int) -> ResponseReturnValue:
    """The verdict, the steps, what to say, and all that happened."""
    return _page(document_or_404(document_id))


@pages.get("/documents/<int:document_id>/inquiry/domains")
@limiter.limit("60 per minute", key_func=lambda: f"inquiries:{current_user.id}")
def look_up(document_id: int) -> ResponseReturnValue:
    """The same with what name servers say of the addresses' domains, asked at this moment."""
    document = document_or_404(document_id)
    found = inquiry.inquire(document, current_user)
    return _page(document, found, inquiry.reached(found.facts))


def _page(
    document: Document, found: Inquiry | None = None, reach: list[Reach] | None = None
) -> ResponseReturnValue:
    found = found or inquiry.inquire(document, current_user)
    sendings = dispatch.of_document(document)
    one = found.facts.telling
    return page(
        "inquiries/show.html",
        "reach",
        document=document,
        found=found,
        facts=found.facts,
        reach=reach,
        way=lambda problem: way(problem, document, found),
        next_ways=_next_ways(document, found),
        sending=next((each for each in sendings if one and each.id == one.id), None),
        story=inquiry.story(document, sendings),
    )


def _next_ways(document: Document, found: Inquiry) -> list[Way]:
    """The buttons under the verdict: what puts right whatever it says, each once."""
    if found.verdict.kind.is_good:
        return []
    ways = (way(one, document, found) for one in _pressing(found))
    return list({one.href: one for one in ways if one.href}.values())[:2]


def _pressing(found: Inquiry) -> list[Problem]:
    """What bears on the verdict: what blocks, of what came in and what became of it first; where
    nothing does, what is to be looked at there."""
    late = sorted(found.steps, key=lambda step: step.name not in WHAT_BECAME)
    blocking = [one for step in late for one in step.problems if one.blocking]
    remarks = (step.problems for step in late if step.name in WHAT_BECAME)
    return blocking or [one for some in remarks for one in some]


# -- where it is put right -----------------------------------------------------------------------


#: Problems of a mail that came back.
OF_WHAT_CAME = ("came_back", "came_back_policy")


def way(problem: Problem, document: Document, found: Inquiry) -> Way:
    """Where this person puts a problem right, or whom they ask."""
    if problem.code in OF_WHAT_CAME and problem.fix in ("sending", "domain"):
        return _back_way(found)
    if problem.code == "unseen":
        return _inbox_way(found)
    if problem.fix in ("sender", "settings", "workers"):
        return _office_way(problem, found)
    if problem.fix == "mail":
        return Way("Open that mail", problem.where, outside=True) if problem.where else Way("")
    made = {
        "document": lambda: Way(
            f"Edit {document.number}", url_for("documents.edit", document_id=document.id)
        ),
        "contact": lambda: _contact_way(problem, document),
        "property": lambda: _property_way(document),
        "batch": lambda: Way("Open the batch", url_for("batches.show", batch_id=problem.where)),
        "sending": lambda: Way(
            "Open this sending", url_for("dispatches.show", dispatch_id=problem.where)
        ),
        "send": lambda: _send_way(document, found),
        "domain": lambda: _domain_way(problem),
        "outbox": lambda: Way("Open the Outbox", url_for("outbox.index")),
    }.get(problem.fix)
    return made() if made else Way("")


def _contact_way(problem: Problem, document: Document) -> Way:
    back = url_for(".show", document_id=document.id)
    contact_id = problem.contact_id or document.contact_id
    return Way("Correct the contact", url_for("contacts.edit", contact_id=contact_id, next=back))


def _property_way(document: Document) -> Way:
    where = document.property_
    if where is None:
        return Way("")
    return Way(f"Open {where.name}", url_for("properties.show", property_id=where.id))


def _send_way(document: Document, found: Inquiry) -> Way:
    newest = found.facts.newest
    after = newest.id if newest else None
    label = "Send it again…" if newest else "Send it…"
    return Way(label, url_for("sendings.new", document_id=document.id, after=after))


def _domain_way(problem: Problem) -> Way:
    if problem.where in domains.in_use() or domains.stored(problem.where):
        return Way("Open the sender domain", url_for("domains.show", domain=problem.where))
    return Way("Open the sender domains", url_for("domains.index"))


def _back_way(found: Inquiry) -> Way:
    """What comes next where it came back, as its own page says it."""
    telling = found.facts.telling
    one = db.session.get(Dispatch, telling.id) if telling else None
    if one is None:
        return Way("")
    step = arrivals.step_after(one)
    if step is None:
        return Way("Open this sending", url_for("dispatches.show", dispatch_id=one.id))
    return Way(step.label, step.href)


def _inbox_way(found: Inquiry) -> Way:
    """Where the portal is let into the inbox, by whoever may."""
    box = db.session.get(Mailbox, found.facts.box.id) if found.facts.box else None
    href = arrivals.may_let_read(box) if box else ""
    return Way("Open that mailbox", href) if href else Way(f"Ask {whom_to_ask()}.")


def _office_way(problem: Problem, found: Inquiry) -> Way:
    """Mailboxes and senders are the office manager's, but for one's own."""
    choice = found.facts.choice
    email = choice.sender.email if choice.sender else ""
    if problem.code == f"sender_{Trouble.CONSENT}":
        href, label = consents.next_step(email)
        return Way(label, href) if href else Way(f"Ask {whom_to_ask()}.")
    if problem.code.startswith("sender_") and email.casefold() == current_user.email.casefold():
        return Way("Set up my address", url_for("profile.show"))
    if current_user.is_manager and problem.fix == "workers":
        return Way("See what is missing", url_for("workers.index"))
    if current_user.is_manager:
        return Way("Open System settings", url_for("settings.show"))
    return Way(f"Ask {whom_to_ask()}.")
