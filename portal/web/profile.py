"""My e-mail: whether mail can leave from one's own address, one's own mailbox, one's password."""

from flask import Blueprint, flash, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_user
from flask_wtf import FlaskForm
from wtforms import PasswordField
from wtforms.validators import EqualTo, InputRequired

from portal import accounts, dispatch, mailboxes, policy
from portal.extensions import limiter
from portal.providers.gmail import PERMISSIONS
from portal.senders import Mode
from portal.web.page import page, see_other

pages = Blueprint("profile", __name__)


class PasswordForm(FlaskForm):  # type: ignore[misc]
    """The old password, and the new one twice."""

    old = PasswordField("Present password", [InputRequired("Write your present password.")])
    new = PasswordField(
        "New password",
        [InputRequired("Write a new password.")],
        description=f"At least {accounts.SHORTEST_PASSWORD} characters. A few words are best.",
    )
    again = PasswordField(
        "New password again",
        [EqualTo("new", "The two new passwords are not the same.")],
    )


@pages.get("/profile")
def show() -> ResponseReturnValue:
    """My address, my mailbox, my password."""
    return _page(PasswordForm(formdata=None))


@pages.post("/profile/password")
@limiter.limit("20 per hour", key_func=lambda: f"password:{current_user.get_id()}")
def change_password() -> ResponseReturnValue:
    """A new password; other places where this person is signed in are signed out."""
    form = PasswordForm()
    if not form.validate():
        return _page(form, 422)
    user = current_user._get_current_object()
    try:
        accounts.change_password(user, form.old.data or "", form.new.data or "")
    except accounts.CannotChange as problem:
        wrong = form.new if "characters" in str(problem) else form.old
        wrong.errors = [str(problem)]
        return _page(form, 422)
    login_user(user)
    flash("Your password is changed. You are signed out everywhere else.", "good")
    return see_other(url_for(".show"))


def _page(form: PasswordForm, status: int = 200) -> ResponseReturnValue:
    box = mailboxes.mailbox_of(current_user)
    return page(
        "profile/show.html",
        "mailboxes",
        status,
        form=form,
        box=box,
        permissions=PERMISSIONS,
        waiting=dispatch.waiting_for(box.id) if box else 0,
        mine=policy.sample(policy.EVERY_KIND, Mode.USER, "", current_user),
        company_mailbox=next(iter(mailboxes.company_mailboxes()), None),
        managers=[one.name for one in accounts.managers()],
        used=any(one.mode is Mode.USER for one in policy.rules()),
    )
