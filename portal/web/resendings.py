"""Sending again: the same message once more, on purpose and with the reason; or a fresh one."""

from flask import Blueprint, flash, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf import FlaskForm
from wtforms import BooleanField, HiddenField

from portal import dispatch
from portal.checks import Problem
from portal.dispatch import Blocked, Dispatch, State
from portal.extensions import limiter
from portal.instance import lost_sendings
from portal.web import again
from portal.web.desk import earlier as last_under_way
from portal.web.page import page, see_other
from portal.web.sendings import already, sending_or_404, whole

pages = Blueprint("resendings", __name__)


class ResendForm(FlaskForm, again.AgainFields):  # type: ignore[misc]
    """The reason, and the second confirmation. seen: the state that the page showed."""

    sure = BooleanField("Send it again")
    number = HiddenField()
    seen = HiddenField()


@pages.get("/dispatches/<int:dispatch_id>/resending")
def new(dispatch_id: int) -> ResponseReturnValue:
    """What sending it again would be, and the questions before it."""
    one = _ended(dispatch_id)
    return _page(one, ResendForm(None)) if one else _busy(dispatch_id)


@pages.post("/dispatches/<int:dispatch_id>/resending")
@limiter.limit("120 per hour", key_func=lambda: f"resendings:{current_user.id}")
def create(dispatch_id: int) -> ResponseReturnValue:
    """Send the same message again, once."""
    form, one = ResendForm(), _ended(dispatch_id)
    number = whole(form.number.data)
    document = (one or sending_or_404(dispatch_id)).document
    if 0 < number < dispatch.next_number(document):
        return already(document, number)
    if one is None:
        return _busy(dispatch_id)
    if not _is_fine(form, one):
        return _page(one, form, 422)
    try:
        asked = dispatch.resend(one, current_user, number, again.reason(form))
    except Blocked as blocked:
        return _page(dispatch.load(one.id), form, 422, blocked.problems)
    if asked.requested_by_id != current_user.id:
        return already(document, asked.sending_number)
    return see_other(url_for("dispatches.show", dispatch_id=asked.id))


def _is_fine(form: ResendForm, one: Dispatch) -> bool:
    fine: bool = form.validate() & again.is_said(form, one, same=True)
    if form.seen.data != one.state or not whole(form.number.data):
        form.form_errors.append("Something became of it meanwhile. Look once more, then decide.")
        fine = False
    if _needs_tick(one) and not form.sure.data:
        form.sure.errors = ["Tick this if it should really be sent again."]
        fine = False
    return fine


def _page(
    one: Dispatch,
    form: ResendForm,
    status: int = 200,
    problems: list[Problem] | None = None,
) -> ResponseReturnValue:
    document = one.document
    again.offer(form, one, same=True, form_id="again")
    form.number.data, form.seen.data = str(dispatch.next_number(document)), one.state
    obstacle = dispatch.obstacle_to(one, current_user)
    return page(
        "dispatches/again.html",
        None,
        status,
        one=one,
        document=document,
        form=form,
        problems=[problem for problem in problems or [] if problem != obstacle],
        obstacle=obstacle,
        choice=None if obstacle else dispatch.sender_now(one, current_user),
        ticked=_needs_tick(one),
        lost=lost_sendings().get(document.id, []),
        under_way=last_under_way(document),
        changed=one.document_version != document.version,
    )


def _needs_tick(one: Dispatch) -> bool:
    """Whether somebody may get it twice by this."""
    may_have_left = (State.ACCEPTED, State.UNKNOWN)
    if one.state in may_have_left or one.never_known or one.document.id in lost_sendings():
        return True
    return last_under_way(one.document) is not None


def _ended(dispatch_id: int) -> Dispatch | None:
    one = sending_or_404(dispatch_id)
    return one if dispatch.can_resend(one) else None


def _busy(dispatch_id: int) -> ResponseReturnValue:
    flash("It is still on its way, so there is nothing to send again yet.", "info")
    return see_other(url_for("dispatches.show", dispatch_id=dispatch_id))
