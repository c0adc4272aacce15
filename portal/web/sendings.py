"""The send page: who it comes from, to whom, with which words; and the one button."""

from dataclasses import replace

from flask import Blueprint, Response, abort, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf import FlaskForm
from wtforms import BooleanField, HiddenField, TextAreaField
from wtforms.validators import DataRequired

from portal import dispatch, policy, queueing
from portal.checks import Problem
from portal.columns import now
from portal.dispatch import Blocked, Dispatch, Purpose, State, Wish
from portal.documents import Document, mail, wording
from portal.documents.pdf import DrawingProblem
from portal.documents.wording import WordingProblem
from portal.extensions import db, limiter
from portal.instance import lost_sendings
from portal.people import BadAddress
from portal.senders import Choice, Rule
from portal.web import again
from portal.web.context import clock
from portal.web.desk import MENDED_HERE, Typed, earlier, laid_out
from portal.web.documents import document_or_404, lower_first
from portal.web.fields import AddressesField, Line, Most, printable, stripped
from portal.web.guard import mail_frame
from portal.web.page import page, see_other, wants_fragment

pages = Blueprint("sendings", __name__)

#: A second press within these seconds is the same press, and needs no explaining.
DOUBLE_TAP = 15


class SendForm(FlaskForm, again.AgainFields):  # type: ignore[misc]
    """What somebody may change before pressing Send, and what the page showed them.

    after: the sending that this one is to follow, where somebody came from there. seen: the state
    of the one it follows.
    """

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
    once = HiddenField()
    after = HiddenField()
    seen = HiddenField()

    def wish(self, once: Rule | None) -> Wish:
        return Wish(
            sending_number=whole(self.number.data),
            to=self.to.data or (),
            cc=self.cc.data or (),
            subject=self.subject.data or "",
            body=self.body.data or "",
            once=once,
        )

    def typed(self, once: Rule | None) -> Typed:
        """What it says of who receives the mail and who sends it."""
        return Typed(_readable(self.to), _readable(self.cc), once)

    def is_testable(self) -> bool:
        """A test needs words, but nobody to send them to."""
        return bool(self.subject.validate(self) & self.body.validate(self))


def _readable(field: AddressesField) -> tuple[str, ...] | None:
    wrong = (field.process_errors or field.errors) and str((field.raw_data or [""])[0]).strip()
    return None if wrong else field.data or ()


@pages.get("/documents/<int:document_id>/dispatches/new")
def new(document_id: int) -> ResponseReturnValue:
    """The send page, with the office's wording filled in, or as it was before it was undone."""
    document = document_or_404(document_id)
    form = _filled(document)
    _as_undone(form, document)
    return _send_page(document, form)


@pages.post("/documents/<int:document_id>/dispatches/new")
def look_again(document_id: int) -> ResponseReturnValue:
    """The page with what is typed now: other recipients, another sender. Stores nothing."""
    document = document_or_404(document_id)
    form = SendForm()
    _may_choose(form, document)
    _number_again(form, document)
    return _send_page(document, form, block="who")


@pages.post("/documents/<int:document_id>/dispatches")
@limiter.limit("120 per hour", key_func=lambda: f"sendings:{current_user.id}")
def create(document_id: int) -> ResponseReturnValue:
    """Ask for the sending, once."""
    document = document_or_404(document_id)
    form = SendForm()
    number = whole(form.number.data)
    if 0 < number < dispatch.next_number(document):
        return already(document, number)
    fine = form.validate() and _may_choose(form, document)
    if not fine or not _as_seen(form, document) or not _agreed(form, document):
        return _send_page(document, form, 422)
    try:
        asked = dispatch.request(document, current_user, _wish(form, document))
    except Blocked as blocked:
        _say_of_recipients(form, blocked.problems)
        return _send_page(document, form, 422, blocked.problems)
    except (BadAddress, WordingProblem, DrawingProblem, ValueError) as problem:
        form.form_errors.append(str(problem))
        return _send_page(document, form, 422)
    if asked.requested_by_id != current_user.id:
        return already(document, asked.sending_number)
    return see_other(url_for("dispatches.show", dispatch_id=asked.id))


@pages.post("/documents/<int:document_id>/tests")
@limiter.limit("60 per hour", key_func=lambda: f"tests:{current_user.id}")
def test(document_id: int) -> ResponseReturnValue:
    """Send the same mail to whoever is signed in. The document stays as it is."""
    document = document_or_404(document_id)
    form = SendForm()
    sent, problems = None, []
    if form.is_testable() and _may_choose(form, document):
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


def _wish(form: SendForm, document: Document) -> Wish:
    """What was filled in, with the sending it follows and why."""
    wish, past = form.wish(_once(form, document)), follows(form, document)
    return replace(wish, after_id=past.id, again=again.reason(form)) if past else wish


def _say_of_recipients(form: SendForm, problems: list[Problem]) -> None:
    """What is wrong with who receives it is said at To, where it is put right."""
    wrong = [one for one in problems if one.code in MENDED_HERE]
    form.to.errors = [*form.to.errors, *(f"{one.message} {one.hint}" for one in wrong)]


def _sent_test(document: Document, form: SendForm) -> Dispatch:
    upcoming = dispatch.next_number(document, Purpose.TEST)
    number = min(whole(form.test_number.data) or upcoming, upcoming)
    subject = f"[Test] {form.subject.data}"[: wording.MAX_SUBJECT]
    wish = replace(
        form.wish(_once(form, document)),
        to=(current_user.email,),
        cc=(),
        subject=subject,
        purpose=Purpose.TEST,
    )
    sent = dispatch.request(document, current_user, replace(wish, sending_number=number))
    if sent.requested_by_id != current_user.id:  # a colleague tested it with this very number
        number = dispatch.next_number(document, Purpose.TEST)
        sent = dispatch.request(document, current_user, replace(wish, sending_number=number))
    return sent


def already(document: Document, number: int) -> ResponseReturnValue:
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


def _once(form: SendForm, document: Document) -> Rule | None:
    """The sender that was chosen for this one sending, if this person may."""
    return policy.once_named(form.once.data or "", document, current_user)


def _may_choose(form: SendForm, document: Document) -> bool:
    """Whether nothing else was chosen than this person may choose; else the rules hold again."""
    if not form.once.data or _once(form, document) is not None:
        return True
    form.once.data = ""
    allowed = policy.may_choose_once(current_user)
    why = "That address can no longer be chosen for this sending."
    if not allowed:
        why = "Only the office manager may choose another address for one sending."
    form.form_errors.append(f"{why} It comes from the usual one, as shown above.")
    return False


def _as_seen(form: SendForm, document: Document) -> bool:
    """Whether the paper and the sender are still those the page showed."""
    choice = policy.sender_of(document, current_user, _once(form, document))
    number = str(dispatch.next_number(document))
    complete = form.number.data == number
    form.number.data = number
    changed = differs(complete, form.version.data, form.sender.data, document, _email(choice))
    form.form_errors.extend(changed)
    return not form.form_errors


def differs(
    complete: bool, version: str | None, sender: str | None, document: Document, comes_from: str
) -> list[str]:
    """What of a page is no longer so, a sentence each.

    complete, version, sender: what the page said; comes_from: the sender as it is now.
    """
    found = []
    if not complete:
        found.append("This page was incomplete.")
    if version != str(document.version):
        when = clock(document.changed_at)
        found.append(f"{document.number} was changed at {when}, after you opened this page.")
    if sender != comes_from:
        found.append(f"It now comes from {comes_from or 'nobody'}, not from {sender or 'nobody'}.")
    return [f"{one} Look at it once more, then send." for one in found]


def sending_or_404(dispatch_id: int) -> Dispatch:
    """A document's sending: tests and the portal's own mail are not sent again, or corrected."""
    one = db.session.get(Dispatch, dispatch_id)
    if one is None or one.document_id is None or one.is_test:
        abort(404)
    return one


def _agreed(form: SendForm, document: Document) -> bool:
    """A second sending is a deliberate one, and has its reason."""
    past, lost = follows(form, document), document.id in lost_sendings()
    if past is None:
        return not lost or _ticked(form)
    if form.seen.data == State.UNKNOWN != past.state:
        now_so = lower_first(past.facts.label)
        form.form_errors.append(f"Sending {past.sending_number} was settled meanwhile: {now_so}.")
        return False
    said = again.is_said(form, past, same=False)
    if earlier(document) is None and not lost:
        return said
    return _ticked(form) and said


def _ticked(form: SendForm) -> bool:
    if not form.again.data:
        form.again.errors = ["Tick this if it should really be sent again."]
    return bool(form.again.data)


def follows(form: SendForm, document: Document) -> Dispatch | None:
    """The sending that this one is to follow: the one somebody came from, or the last that left."""
    number = whole(form.after.data, most=9)
    named = (one for one in dispatch.of_document(document) if one.id == number and not one.is_test)
    return next(named, None) or earlier(document)


# -- showing -------------------------------------------------------------------------------------


def _send_page(
    document: Document,
    form: SendForm,
    status: int = 200,
    problems: list[Problem] | None = None,
    tested: Dispatch | None = None,
    block: str = "test",
) -> ResponseReturnValue:
    once = _once(form, document)
    desk = laid_out(document, form.typed(once), problems or [])
    form.version.data, form.sender.data = str(document.version), _email(desk.choice)
    past = follows(form, document)
    if past is not None:
        form.seen.data = past.state
        again.offer(form, past, same=False, form_id="send")
    return page(
        "dispatches/new.html",
        block,
        status,
        document=document,
        form=form,
        desk=desk,
        past=past,
        lost=lost_sendings().get(document.id, []),
        tested=tested,
        tried=request.endpoint == "sendings.test",
        typed=request.method == "POST",
        htmx_part=wants_fragment(),
        queue=queueing.health() if tested else "",
    )


def _filled(document: Document) -> SendForm:
    """The form as the office's wording fills it; the shipped wording where that one is broken."""
    facts = document.facts()
    try:
        words = mail.filled(facts, current_user.name)
    except WordingProblem:
        words = mail.filled(facts, current_user.name, mail.shipped(document.kind))
    found = document.recipients()
    form = SendForm(
        None,
        to=tuple(one.email for one in found.to),
        cc=tuple(one.email for one in found.cc),
        subject=words.subject,
        body=words.body,
        after=request.args.get("after", ""),
    )
    _number_again(form, document)
    _to_the_rest(form, document)
    return form


def _to_the_rest(form: SendForm, document: Document) -> None:
    """To those alone for whom the sending before was not taken: the others have it."""
    number = whole(form.after.data, most=9) if "rest" in request.args else 0
    one = db.session.get(Dispatch, number) if number else None
    if one is not None and one.document_id == document.id and one.turned_away:
        form.to.data, form.cc.data = tuple(each["email"] for each in one.turned_away), ()


def _as_undone(form: SendForm, document: Document) -> None:
    """What stood here before it was taken back: who receives it, the words, who it comes from."""
    number = whole(request.args.get("undone"), most=9)
    one = db.session.get(Dispatch, number) if number else None
    if one is None or one.document_id != document.id or one.state != State.CANCELLED:
        return
    form.to.data, form.cc.data = tuple(one.to), tuple(one.cc)
    form.subject.data, form.body.data = one.subject, one.body
    if _email(policy.sender_of(document, current_user)) != one.from_email:
        offered = policy.once_choices(document, current_user)
        keys = (policy.once_key(choice) for choice in offered if _email(choice) == one.from_email)
        form.once.data = next(keys, "")


def _number_again(form: SendForm, document: Document) -> None:
    """The numbers that make each press count once."""
    if not whole(form.number.data):
        form.number.data = str(dispatch.next_number(document))
    form.test_number.data = str(dispatch.next_number(document, Purpose.TEST))


def _mail_page(document: Document, body: str) -> Response:
    return mail_frame(wording.html_body(body, document.facts(), current_user.name))


def _email(choice: Choice) -> str:
    return choice.sender.email if choice.sender else ""


def whole(typed: str | None, most: int = 6) -> int:
    """A number from the page of so many digits at most, 0 for anything else."""
    typed = typed or ""
    return int(typed) if typed.isdecimal() and len(typed) <= most else 0
