"""My e-mail: whether mail can leave from one's own address, one's own mailbox, password and PIN."""

from flask import Blueprint, flash, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_user
from flask_wtf import FlaskForm
from wtforms import BooleanField, PasswordField
from wtforms.validators import EqualTo, InputRequired

from portal import (
    accounts,
    consent,
    devices,
    dispatch,
    links,
    mailboxes,
    policy,
    standing,
)
from portal.extensions import limiter
from portal.providers import PERMISSIONS
from portal.senders import Mode
from portal.web.guard import not_by_pin, whom_to_ask
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


class PinForm(FlaskForm):  # type: ignore[misc]
    """A quick PIN twice, and the password."""

    password = PasswordField(
        "My password", [InputRequired("Write your password.")], id="pin-password"
    )
    pin = PasswordField("New PIN", [InputRequired("Write a PIN.")])
    pin_again = PasswordField("The PIN again", [EqualTo("pin", "The two PINs are not the same.")])


class NoPinForm(FlaskForm):  # type: ignore[misc]
    """The password, to do without a PIN."""

    password = PasswordField(
        "My password", [InputRequired("Write your password.")], id="no-pin-password"
    )


class HearingForm(FlaskForm):  # type: ignore[misc]
    """Of what a person wants to hear by mail."""

    returns = BooleanField(
        "Mail me when something I sent comes back",
        description="A few minutes after it was read: what came back, why, and where to send it "
        "again. Here you see it in any case.",
    )


@pages.get("/profile")
def show() -> ResponseReturnValue:
    """My address, my mailbox, my password, my quick PIN."""
    return _page()


@pages.post("/profile/password")
@limiter.limit("20 per hour", key_func=lambda: f"password:{current_user.get_id()}")
@not_by_pin
def change_password() -> ResponseReturnValue:
    """A new password; other places where this person is signed in are signed out."""
    form = PasswordForm()
    if not form.validate():
        return _page(422, form=form)
    user = current_user._get_current_object()
    try:
        links.change_password(user, form.old.data or "", form.new.data or "")
    except accounts.CannotChange as problem:
        wrong = form.new if "characters" in str(problem) else form.old
        wrong.errors = [str(problem)]
        return _page(422, form=form)
    login_user(user)
    flash("Your password is changed. You are signed out everywhere else.", "good")
    return see_other(url_for(".show"))


@pages.post("/profile/pin")
@limiter.limit("20 per hour", key_func=lambda: f"pin:{current_user.get_id()}")
@not_by_pin
def set_pin() -> ResponseReturnValue:
    """A quick PIN for shared tablets."""
    form = PinForm()
    if not form.validate():
        return _page(422, pin=form)
    try:
        devices.set_pin(_me(), form.password.data or "", form.pin.data or "")
    except accounts.CannotChange as problem:
        form.password.errors = [str(problem)]
    except devices.BadPin as problem:
        form.pin.errors = [str(problem)]
    if form.errors:
        return _page(422, pin=form)
    flash("Your quick PIN is set. It works on shared tablets you signed in on.", "good")
    return see_other(url_for(".show") + "#pin-title")


@pages.post("/profile/pin/removal")
@limiter.limit("20 per hour", key_func=lambda: f"pin:{current_user.get_id()}")
@not_by_pin
def drop_pin() -> ResponseReturnValue:
    """Do without a quick PIN."""
    form = NoPinForm()
    try:
        devices.drop_pin(_me(), form.password.data or "")
    except accounts.CannotChange as problem:
        form.password.errors = [str(problem)]
        return _page(422, no_pin=form)
    flash("You have no quick PIN any more.", "info")
    return see_other(url_for(".show") + "#pin-title")


@pages.post("/profile/hearing")
def hear() -> ResponseReturnValue:
    """Want mails about what came back, or do without."""
    wants = bool(HearingForm().returns.data)
    accounts.want_told_of_returns(_me(), wants=wants)
    done = "We mail you when something you sent comes back."
    flash(done if wants else "You get no mails about what comes back any more.", "good")
    return see_other(url_for(".show") + "#hearing-title")


def _me() -> accounts.User:
    found: accounts.User = current_user._get_current_object()
    return found


def _page(
    status: int = 200,
    *,
    form: PasswordForm | None = None,
    pin: PinForm | None = None,
    no_pin: NoPinForm | None = None,
) -> ResponseReturnValue:
    box = mailboxes.mailbox_of(current_user)
    return page(
        "profile/show.html",
        "mailboxes",
        status,
        form=form or PasswordForm(formdata=None),
        pin=pin or PinForm(formdata=None),
        no_pin=no_pin or NoPinForm(formdata=None),
        hearing=HearingForm(formdata=None, returns=current_user.told_of_returns),
        box=box,
        said=consent.of(current_user),
        permissions=PERMISSIONS,
        waiting=dispatch.waiting_for(box.id) if box else 0,
        mine=policy.sample(policy.EVERY_KIND, Mode.USER, "", current_user),
        company_mailbox=next(iter(mailboxes.company_mailboxes()), None),
        managers=whom_to_ask(),
        counts=standing.why_own_address_counts(current_user),
    )
