"""The send page: who it comes from, to whom, with which words; and the one button."""

from dataclasses import dataclass, replace
from datetime import datetime

from flask import Blueprint, Response, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf import FlaskForm
from wtforms import BooleanField, HiddenField, TextAreaField, ValidationError
from wtforms.validators import DataRequired

from portal import dispatch, policy, queueing
from portal.accounts import active_people
from portal.checks import Problem, Sending, preflight
from portal.columns import now
from portal.dispatch import Blocked, Dispatch, Purpose, State, Wish
from portal.documents import Document, mail, wording
from portal.documents.files import megabytes
from portal.documents.pdf import DrawingProblem
from portal.documents.wording import WordingProblem
from portal.extensions import db, limiter
from portal.mailboxes import Mailbox
from portal.people import BadAddress
from portal.senders import Choice, Mode
from portal.web.context import clock
from portal.web.documents import document_or_404
from portal.web.fields import AddressesField, Line, Most, printable, stripped
from portal.web.guard import mail_frame
from portal.web.page import page, see_other, wants_fragment

pages = Blueprint("sendings", __name__)

#: What the page itself can put right: these never take the button away.
MENDED_HERE = {"no_recipient", "bad_recipient"}
#: A second press within these seconds is the same press, and needs no explaining.
DOUBLE_TAP = 15
GONE_BY = {State.CANCELLED, State.REFUSED}


class SendForm(FlaskForm):  # type: ignore[misc]
    """What somebody may change before pressing Send, and what the page showed them."""

    to = AddressesField("To", required="Write who it goes to.", empty=())
    cc = AddressesField("Cc", empty=())
    subject = Line("Subject", [DataRequired("Write a subject.")], most=wording.MAX_SUBJECT)
    body = TextAreaField(
        "Message",
        [DataRequired("Write a message."), printable, Most(wording.MAX_TEXT)],
        filters=[stripped],
    )
    again = BooleanField("Send it again")
    number = HiddenField()
    test_number = HiddenField()
    version = HiddenField()
    sender = HiddenField()

    def validate_cc(self, field: AddressesField) -> None:
        if len((self.to.data or ()) + (field.data or ())) > 20:
            raise ValidationError("To and Cc together may have 20 addresses.")

    def wish(self) -> Wish:
        return Wish(
            sending_number=_whole(self.number.data),
            to=self.to.data or (),
            cc=self.cc.data or (),
            subject=self.subject.data or "",
            body=self.body.data or "",
        )

    def is_testable(self) -> bool:
        """A test needs words, but nobody to send them to."""
        return bool(self.subject.validate(self) & self.body.validate(self))


@dataclass(frozen=True)
class Fix:
    """A problem, and the one place that puts it right."""

    problem: Problem
    href: str = ""
    label: str = ""
    ask: str = ""


@dataclass(frozen=True)
class Desk:
    """Everything the send page shows of a document that is about to be sent."""

    document: Document
    choice: Choice
    earlier: Dispatch | None
    sender_fix: Fix | None
    notices: list[Fix]
    blocking: list[Fix]
    enclosed: list[tuple[str, str]]
    total: str
    checked: datetime | None
    paused_until: datetime | None
    rule_href: str


@pages.get("/documents/<int:document_id>/dispatches/new")
def new(document_id: int) -> ResponseReturnValue:
    """The send page, with the office's wording filled in."""
    document = document_or_404(document_id)
    return _send_page(document, _filled(document))


@pages.post("/documents/<int:document_id>/dispatches")
def create(document_id: int) -> ResponseReturnValue:
    """Ask for the sending, once."""
    document = document_or_404(document_id)
    form = SendForm()
    number = _whole(form.number.data)
    if 0 < number < dispatch.next_number(document):
        return _already(document, number)
    if not form.validate() or not _as_seen(form, document) or not _agreed(form, document):
        return _send_page(document, form, 422)
    try:
        asked = dispatch.request(document, current_user, form.wish())
    except Blocked as blocked:
        return _send_page(document, form, 422, blocked.problems)
    except (BadAddress, WordingProblem, DrawingProblem, ValueError) as problem:
        form.form_errors.append(str(problem))
        return _send_page(document, form, 422)
    if asked.requested_by_id != current_user.id:
        return _already(document, asked.sending_number)
    return see_other(url_for("dispatches.show", dispatch_id=asked.id))


@pages.post("/documents/<int:document_id>/tests")
@limiter.limit("60 per hour", key_func=lambda: f"tests:{current_user.id}")
def test(document_id: int) -> ResponseReturnValue:
    """Send the same mail to whoever is signed in. The document stays as it is."""
    document = document_or_404(document_id)
    form = SendForm()
    sent, problems = None, []
    if form.is_testable():
        try:
            sent = _sent_test(document, form)
        except Blocked as blocked:
            problems = blocked.problems
        except (BadAddress, WordingProblem, DrawingProblem, ValueError) as problem:
            form.form_errors.append(str(problem))
    _number_again(form, document)
    return _send_page(document, form, 200 if sent else 422, problems, sent)


@pages.get("/documents/<int:document_id>/mail")
def mail_now(document_id: int) -> ResponseReturnValue:
    """The e-mail as it would look with the office's wording."""
    document = document_or_404(document_id)
    return _mail_page(document, _filled(document).body.data or "")


@pages.post("/documents/<int:document_id>/mail")
def mail_typed(document_id: int) -> ResponseReturnValue:
    """The e-mail as it would look with what is typed. Stores nothing."""
    document = document_or_404(document_id)
    return _mail_page(document, stripped(request.form.get("body"))[: wording.MAX_TEXT])


# -- asking --------------------------------------------------------------------------------------


def _sent_test(document: Document, form: SendForm) -> Dispatch:
    upcoming = dispatch.next_number(document, Purpose.TEST)
    number = min(_whole(form.test_number.data) or upcoming, upcoming)
    subject = f"[Test] {form.subject.data}"[: wording.MAX_SUBJECT]
    wish = replace(
        form.wish(), to=(current_user.email,), cc=(), subject=subject, purpose=Purpose.TEST
    )
    sent = dispatch.request(document, current_user, replace(wish, sending_number=number))
    if sent.requested_by_id != current_user.id:  # a colleague tested it with this very number
        number = dispatch.next_number(document, Purpose.TEST)
        sent = dispatch.request(document, current_user, replace(wish, sending_number=number))
    return sent


def _already(document: Document, number: int) -> ResponseReturnValue:
    """Somebody pressed first: nothing more is sent, and the page shows theirs."""
    found = next(
        one
        for one in dispatch.of_document(document)
        if one.sending_number == number and not one.is_test
    )
    when, age = clock(found.requested_at), (now() - found.requested_at).total_seconds()
    if found.requested_by_id != current_user.id:
        who = found.requested_by.name
        flash(f"{who} sent it at {when}, while your page was open. Nothing more was sent.", "info")
    elif age > DOUBLE_TAP:
        flash(f"You had sent it from that page at {when}. Nothing more was sent.", "info")
    return see_other(url_for("dispatches.show", dispatch_id=found.id))


def _as_seen(form: SendForm, document: Document) -> bool:
    """Whether the paper and the sender are still those the page showed."""
    choice = policy.sender_of(document, current_user)
    number = str(dispatch.next_number(document))
    if form.number.data != number:
        form.number.data = number
        form.form_errors.append("This page was incomplete. Look at it once more, then send.")
    if form.version.data != str(document.version):
        when = clock(document.changed_at)
        form.form_errors.append(
            f"{document.number} was changed at {when}, after you opened this page."
            " Look at it once more, then send."
        )
    if form.sender.data != _email(choice):
        form.form_errors.append(
            f"It now comes from {_email(choice) or 'nobody'}, not from"
            f" {form.sender.data or 'nobody'}. Look at it once more, then send."
        )
    return not form.form_errors


def _agreed(form: SendForm, document: Document) -> bool:
    """A second sending is a deliberate one."""
    if _earlier(document) is None or form.again.data:
        return True
    form.again.errors = ["Tick this if it should really be sent again."]
    return False


# -- showing -------------------------------------------------------------------------------------


def _send_page(
    document: Document,
    form: SendForm,
    status: int = 200,
    problems: list[Problem] | None = None,
    tested: Dispatch | None = None,
) -> ResponseReturnValue:
    desk = _desk(document, form, problems or [])
    form.version.data, form.sender.data = str(document.version), _email(desk.choice)
    return page(
        "dispatches/new.html",
        "test",
        status,
        document=document,
        form=form,
        desk=desk,
        tested=tested,
        tried=request.endpoint == "sendings.test",
        htmx_part=wants_fragment(),
        queue=queueing.health() if tested else "",
    )


def _desk(document: Document, form: SendForm, more: list[Problem]) -> Desk:
    choice = policy.sender_of(document, current_user)
    box = db.session.get(Mailbox, choice.mailbox_id) if choice.mailbox_id else None
    to, cc = form.to.data or (), form.cc.data or ()
    found = preflight(Sending(document, choice, to, cc))
    found += [one for one in more if one.code not in {other.code for other in found}]
    facts = document.facts()
    enclosed = []
    try:
        papers = mail.paper(document, facts)
        enclosed = [(papers.filename, megabytes(len(papers.content)))]
    except DrawingProblem as problem:
        found.append(Problem("paper", str(problem), "", "settings"))
    enclosed += [(one.filename, megabytes(one.size)) for one in document.files]
    about_sender = [one for one in found if one.fix in ("sender", "settings") and not choice.ready]
    others = [one for one in found if one not in about_sender]
    return Desk(
        document=document,
        choice=choice,
        earlier=_earlier(document),
        sender_fix=_fix(about_sender[0], document, choice) if about_sender else None,
        notices=[_fix(one, document, choice) for one in others if one.code in MENDED_HERE],
        blocking=[
            _fix(one, document, choice)
            for one in found
            if one.blocking and one.code not in MENDED_HERE
        ],
        enclosed=enclosed,
        total=facts.money(facts.total),
        checked=box.addresses_checked_at if box else None,
        paused_until=box.paused_until if box and box.is_paused else None,
        rule_href=_rule_href(document.kind),
    )


def _rule_href(kind: str) -> str:
    """Where a manager changes the rule that chose this From; nothing for anybody else."""
    if not current_user.is_manager:
        return ""
    return url_for("policy.edit", kind=kind if policy.rule(kind) else None)


def _fix(problem: Problem, document: Document, choice: Choice) -> Fix:
    """Where this person puts a problem right, or whom they ask."""
    if problem.fix == "document":
        href = url_for("documents.edit", document_id=document.id)
        return Fix(problem, href, f"Edit {document.number}")
    if problem.fix == "contact":
        back = url_for("sendings.new", document_id=document.id)
        href = url_for("contacts.edit", contact_id=document.contact_id, next=back)
        return Fix(problem, href, f"Add an address to {document.contact.name}")
    if not problem.fix:
        return Fix(problem)
    return _sender_fix(problem, choice)


def _sender_fix(problem: Problem, choice: Choice) -> Fix:
    if choice.mode is Mode.USER and problem.fix == "sender":
        return Fix(problem, url_for("profile.show"), "Set up my address")
    if current_user.is_manager:
        return Fix(problem, url_for("settings.show"), "Open System settings")
    managers = " or ".join(one.name for one in active_people() if one.is_manager)
    return Fix(problem, ask=f"Ask {managers}." if managers else "")


def _filled(document: Document) -> SendForm:
    """The form as the office's wording fills it; the shipped wording where that one is broken."""
    facts = document.facts()
    try:
        words = mail.filled(facts, current_user.name)
    except WordingProblem:
        words = mail.Words(
            wording.render_subject(
                wording.default_subject(document.kind), facts, current_user.name
            ),
            wording.render(wording.default_body(document.kind), facts, current_user.name),
        )
    found = document.recipients()
    form = SendForm(
        None,
        to=tuple(one.email for one in found.to),
        cc=tuple(one.email for one in found.cc),
        subject=words.subject,
        body=words.body,
    )
    _number_again(form, document)
    return form


def _number_again(form: SendForm, document: Document) -> None:
    """The numbers that make each press count once."""
    if not _whole(form.number.data):
        form.number.data = str(dispatch.next_number(document))
    form.test_number.data = str(dispatch.next_number(document, Purpose.TEST))


def _earlier(document: Document) -> Dispatch | None:
    """The last sending that left, or still may."""
    real = [one for one in dispatch.of_document(document) if not one.is_test]
    return next((one for one in real if one.state not in GONE_BY), None)


def _mail_page(document: Document, body: str) -> Response:
    return mail_frame(wording.html_body(body, document.facts(), current_user.name))


def _email(choice: Choice) -> str:
    return choice.sender.email if choice.sender else ""


def _whole(typed: str | None) -> int:
    """A sending number from the page, 0 for anything else."""
    typed = typed or ""
    return int(typed) if typed.isdecimal() and len(typed) < 7 else 0
