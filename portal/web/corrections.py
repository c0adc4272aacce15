"""Correcting: the right address written in the place of one that mail came back from, and sent."""

from typing import Any, cast

from flask import Blueprint, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf import FlaskForm
from werkzeug.datastructures import MultiDict
from wtforms import BooleanField, HiddenField, RadioField, TextAreaField
from wtforms.validators import DataRequired

from portal import bounces, corrections, dispatch, policy
from portal.bounces import Caution
from portal.contacts import AddressTaken
from portal.corrections import Correction, Wrong
from portal.dispatch import Blocked, Dispatch, Wish
from portal.documents import wording
from portal.documents.pdf import DrawingProblem
from portal.documents.wording import WordingProblem
from portal.extensions import limiter
from portal.people import BadAddress, address_key
from portal.spelling import Doubt, doubt, tidied
from portal.web.contactform import MeantField
from portal.web.desk import earlier
from portal.web.fields import Line, Most, printable, stripped
from portal.web.page import page, see_other
from portal.web.sendings import already, differs, sending_or_404, whole

pages = Blueprint("corrections", __name__)

#: So many addresses of one sending are corrected at a time.
MOST = 10
WHY = "It came back. The address was corrected."
BOTH, HERE = "contact", "document"


class CorrectionForm(FlaskForm):  # type: ignore[misc]
    """The right addresses, and the words. number, version, sender: what the page showed."""

    keep = RadioField("Whose address is it?", choices=[], validate_choice=False)
    others = BooleanField("Send it once more to the others too")
    subject = Line("Subject", [DataRequired("Write a subject.")], most=wording.MAX_SUBJECT)
    body = TextAreaField(
        "Message",
        [DataRequired("Write a message."), printable, Most(wording.MAX_TEXT)],
        filters=[stripped],
    )
    number = HiddenField()
    version = HiddenField()
    sender = HiddenField()


@pages.get("/dispatches/<int:dispatch_id>/correction")
def new(dispatch_id: int) -> ResponseReturnValue:
    """The address as it was, and a field for the right one."""
    one = sending_or_404(dispatch_id)
    if not corrections.can_correct(one):
        return _gone(one)
    wrong = corrections.wrongs(one)[:MOST]
    form = _form(wrong, None, subject=one.subject, body=one.body, keep=BOTH)
    return _page(one, wrong, form)


@pages.post("/dispatches/<int:dispatch_id>/correction")
@limiter.limit("120 per hour", key_func=lambda: f"corrections:{current_user.id}")
def create(dispatch_id: int) -> ResponseReturnValue:
    """Put the address right and send the document again, once."""
    one = sending_or_404(dispatch_id)
    number = whole(request.form.get("number"))
    if 0 < number < dispatch.next_number(one.document):
        return already(one.document, number)
    if not corrections.can_correct(one):
        return _gone(one)
    wrong = corrections.wrongs(one)[:MOST]
    form = _form(wrong, _as_meant(wrong))
    wanted = _wanted(form, wrong)
    if not _is_fine(form, one, wrong, wanted):
        return _page(one, wrong, form, 422)
    wish = Wish(number, (), (), form.subject.data or "", form.body.data or "", again=WHY)
    try:
        made = corrections.correct(one, current_user, wish, wanted)
    except AddressTaken as taken:
        _say_taken(form, wrong, taken)
        return _page(one, wrong, form, 422, taken)
    except Blocked as blocked:
        form.form_errors += [f"{each.message} {each.hint}".strip() for each in blocked.problems]
        return _page(one, wrong, form, 422)
    except (BadAddress, WordingProblem, DrawingProblem, ValueError) as problem:
        form.form_errors.append(str(problem))
        return _page(one, wrong, form, 422)
    return _after(made, wanted)


def _after(made: Dispatch, wanted: Correction) -> ResponseReturnValue:
    if made.requested_by_id != current_user.id:
        return already(made.document, made.sending_number)
    if wanted.in_contacts:
        flash(f"The contact was changed too: {', '.join(wanted.right.values())}.", "good")
    return see_other(url_for("dispatches.show", dispatch_id=made.id))


# -- the form --------------------------------------------------------------------------------------


def _form(wrong: list[Wrong], typed: MultiDict[str, str] | None, **values: Any) -> CorrectionForm:
    """The form with a field for each address in question."""
    fields: dict[str, Any] = {
        _name(number): MeantField("Right address", required="Write the right address.")
        for number in range(len(wrong))
    }
    made = type("CorrectionForm", (CorrectionForm,), fields)
    was = {_name(number): each.email for number, each in enumerate(wrong)}
    form = cast("CorrectionForm", made(typed, data={**was, **values}))
    holders = list(dict.fromkeys(each.contact.name for each in wrong if each.contact))
    both = f"{' and '.join(holders)} has a new address: change the contact too"
    form.keep.choices = [(BOTH, both), (HERE, "Only this time: the contact stays as it is")]
    if not holders:
        form.keep.choices = [(HERE, "Only this time")]
        form.keep.data = HERE
    return form


def _name(number: int) -> str:
    return f"right_{number}"


def _as_meant(wrong: list[Wrong]) -> MultiDict[str, str]:
    """What was typed; where somebody pressed "use the other address", with that."""
    typed = MultiDict(request.form)
    for number in range(len(wrong)):
        asked = doubt(tidied(typed.get(_name(number), "")).text)
        if asked and typed.get(f"meant_{number}") == asked.meant:
            typed[_name(number)] = asked.meant
    return typed


def _wanted(form: CorrectionForm, wrong: list[Wrong]) -> Correction:
    right = {
        each.email: form[_name(number)].data
        for number, each in enumerate(wrong)
        if form[_name(number)].data
        and address_key(form[_name(number)].data) != address_key(each.email)
    }
    return Correction(right, form.keep.data == BOTH, bool(form.others.data))


def _is_fine(form: CorrectionForm, one: Dispatch, wrong: list[Wrong], wanted: Correction) -> bool:
    fine = bool(form.validate())
    if fine and not wanted.right:
        form[_name(0)].errors = ["This is the address it came back from. Write the right one."]
        return False
    return fine and _as_seen(form, one) and not _questions(form, wrong)


def _as_seen(form: CorrectionForm, one: Dispatch) -> bool:
    """Whether what goes out is what the page showed."""
    complete, now_from = bool(whole(form.number.data)), _sender(one)
    changed = differs(complete, form.version.data, form.sender.data, one.document, now_from)
    form.form_errors.extend(changed)
    return not form.form_errors


def _questions(form: CorrectionForm, wrong: list[Wrong]) -> dict[int, Doubt]:
    """What to ask of each new address before mail goes there, unless it was answered."""
    asked = {}
    for number, each in enumerate(wrong):
        field = form[_name(number)]
        kept = request.form.get(f"kept_{number}")
        if field.doubt and field.data not in (kept, each.email):
            asked[number] = field.doubt
    return asked


def _say_taken(form: CorrectionForm, wrong: list[Wrong], taken: AddressTaken) -> None:
    for number, _ in enumerate(wrong):
        field = form[_name(number)]
        if address_key(field.data or "") == taken.holder.email_key:
            field.errors = [f"{taken} Choose “Only this time”, or merge the two contacts first."]


# -- the page --------------------------------------------------------------------------------------


def _page(
    one: Dispatch,
    wrong: list[Wrong],
    form: CorrectionForm,
    status: int = 200,
    taken: AddressTaken | None = None,
) -> ResponseReturnValue:
    document = one.document
    form.number.data = str(dispatch.next_number(document))
    form.version.data, form.sender.data = str(document.version), _sender(one)
    fields = [form[_name(number)] for number in range(len(wrong))]
    return page(
        "corrections/new.html",
        None,
        status,
        one=one,
        document=document,
        form=form,
        asked=list(zip(wrong, fields, strict=True)),
        questions=_questions(form, wrong) if status == 422 else {},
        cautions=_cautions(form, wrong),
        holder=taken.holder if taken else None,
        others=corrections.others_than(wrong, one),
        choice=policy.sender_of(document, current_user),
        under_way=earlier(document),
        changed=one.document_version != document.version,
    )


def _cautions(form: CorrectionForm, wrong: list[Wrong]) -> list[Caution]:
    """New addresses that mail came back from before."""
    new = [form[_name(number)].data or "" for number in range(len(wrong))]
    old = {address_key(each.email) for each in wrong}
    return list(bounces.cautions_of(each for each in new if address_key(each) not in old).values())


def _sender(one: Dispatch) -> str:
    choice = policy.sender_of(one.document, current_user)
    return choice.sender.email if choice.sender else ""


def _gone(one: Dispatch) -> ResponseReturnValue:
    flash("It has not come back, so there is no address to correct.", "info")
    return see_other(url_for("dispatches.show", dispatch_id=one.id))
