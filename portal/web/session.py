"""Signing in and out. A sign-in is a session that is made, and ended."""

import time

from flask import Blueprint, Response, flash, make_response, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_limiter.util import get_remote_address
from flask_login import current_user, login_user, logout_user
from flask_wtf import FlaskForm
from wtforms import BooleanField, EmailField, HiddenField, IntegerField, PasswordField
from wtforms.validators import InputRequired

from portal import accounts, devices
from portal.accounts import User
from portal.devices import BadPin, Device, Face
from portal.extensions import limiter
from portal.web import tablet
from portal.web.fields import Line
from portal.web.guard import on_site
from portal.web.page import page

pages = Blueprint("session", __name__)

WRONG = "That address and password do not belong together. Check both and try again."


class SignInForm(FlaskForm):  # type: ignore[misc]
    """What the sign-in page asks for."""

    next = HiddenField()
    email = EmailField("E-mail address", [InputRequired("Write your e-mail address.")])
    password = PasswordField("Password", [InputRequired("Write your password.")])
    shared = BooleanField("This is a shared tablet")
    device = Line("What you call it", most=60)


class PinForm(FlaskForm):  # type: ignore[misc]
    """What a shared tablet asks of somebody it knows."""

    next = HiddenField()
    who = IntegerField()
    pin = PasswordField("Your PIN", [InputRequired("Type your PIN.")])


class ConfirmForm(FlaskForm):  # type: ignore[misc]
    """The password of somebody who came in with a PIN."""

    next = HiddenField()
    password = PasswordField("Password", [InputRequired("Write your password.")])


@pages.get("/sign-in")
def new() -> ResponseReturnValue:
    """Who is it? On a shared tablet by name and PIN, else by address and password."""
    if current_user.is_authenticated and not tablet.is_over():
        return redirect(on_site(request.args.get("next", "")), 303)
    device = tablet.this_one()
    faces = devices.faces(device) if device else []
    if not faces or "full" in request.args:
        return _full_page(SignInForm(request.args), device, faces)
    return _faces_page(faces, PinForm(request.args))


@pages.post("/sign-in")
@limiter.limit("20 per hour", key_func=lambda: f"{get_remote_address()}/{_typed_email()}")
@limiter.limit("100 per hour", key_func=lambda: f"address:{_typed_email()}")
@limiter.limit("60 per hour")  # less than the line above, so that no one place locks anybody out
def create() -> ResponseReturnValue:
    """Sign in, under a new session."""
    form, device = SignInForm(), tablet.this_one()
    user = _who(form)
    if user is None:
        faces = devices.faces(device) if device else []
        return _full_page(form, device, faces, 422)
    key = ""
    if device is None and form.shared.data:
        device, key = devices.share(user, form.device.data or "")
    begin(user)
    if device is not None:
        tablet.begin(devices.signed_in_fully(device, user), by_pin=False)
    answer = make_response(redirect(on_site(form.next.data or ""), 303))
    return _remembered(answer, key)


@pages.post("/sign-in/pin")
@limiter.limit("60 per hour", deduct_when=lambda answer: answer.status_code != 303)
def create_by_pin() -> ResponseReturnValue:
    """Come back on a shared tablet, with a PIN."""
    form, device = PinForm(), tablet.this_one()
    if device is None:
        return redirect(url_for(".new", next=form.next.data or None), 303)
    if not form.validate():
        return _faces_page(devices.faces(device), form, 422)
    try:
        user, turn = devices.sign_in(device, form.who.data or 0, form.pin.data or "")
    except BadPin as problem:
        form.pin.errors = [str(problem)]
        return _after_wrong_pin(device, form)
    begin(user)
    tablet.begin(turn, by_pin=True)
    return redirect(on_site(form.next.data or ""), 303)


@pages.get("/sign-in/password")
def confirm() -> ResponseReturnValue:
    """Ask for the password before what a PIN does not open."""
    if not tablet.by_pin():
        return redirect(on_site(request.args.get("next", "")), 303)
    return page("session/confirm.html", form=ConfirmForm(request.args))


@pages.post("/sign-in/password")
@limiter.limit("20 per hour", key_func=lambda: f"confirm:{current_user.get_id()}")
def confirmed() -> ResponseReturnValue:
    """The password makes a session that began with a PIN a whole one."""
    form = ConfirmForm()
    if not form.validate():
        return page("session/confirm.html", status=422, form=form)
    if accounts.sign_in(current_user.email, form.password.data or "") is None:
        form.password.errors = ["That is not your password."]
        return page("session/confirm.html", status=422, form=form)
    session[tablet.PIN] = False
    return redirect(on_site(form.next.data or ""), 303)


@pages.post("/sign-out")
def destroy() -> ResponseReturnValue:
    """End the session, and with it every copy of its cookie.

    On a shared tablet just there: nobody's phone is signed out by passing the tablet on.
    """
    user, turn = current_user._get_current_object(), tablet.turn()
    if turn is None:
        accounts.end_sessions(user)
        said = "You are signed out, here and everywhere else."
    else:
        devices.leave(turn, user.id)
        said = "You are signed out on this tablet."
    logout_user()
    session.clear()
    flash(said, "info")
    return redirect(url_for("session.new"), 303)


def begin(user: User) -> None:
    """A new session for somebody who has just proved who they are."""
    session.clear()  # nothing of the stranger's session lives on
    session.permanent, session["since"] = True, time.time()
    accounts.came_in(user)
    login_user(user)


def _who(form: SignInForm) -> User | None:
    """Whose address and password were typed; else the form says what is wrong."""
    if not form.validate():
        return None
    user = accounts.sign_in(_typed_email(), form.password.data or "")
    if user is None:
        form.password.errors = [WRONG]
    return user


def _remembered(answer: Response, key: str) -> Response:
    if key:
        tablet.remember(answer, key)
    return answer


def _after_wrong_pin(device: Device, form: PinForm) -> ResponseReturnValue:
    """Try again, or with the password, as the sentence says."""
    faces = devices.faces(device) if device.active else []
    mine = [one for one in faces if one.user_id == form.who.data and not one.locked]
    if mine:
        return _faces_page(faces, form, 422)
    flash(str(form.pin.errors[0]), "warn")
    full = SignInForm(formdata=None, next=form.next.data)
    return _full_page(full, device if device.active else None, faces, 422)


def _faces_page(faces: list[Face], form: PinForm, status: int = 200) -> ResponseReturnValue:
    chosen = next((one for one in faces if one.user_id == form.who.data), None)
    shown = chosen if chosen and not chosen.locked else None
    return page("session/faces.html", status=status, faces=faces, form=form, chosen=shown)


def _full_page(
    form: SignInForm, device: Device | None, faces: list[Face], status: int = 200
) -> ResponseReturnValue:
    return page("login.html", status=status, form=form, device=device, faces=faces)


def _typed_email() -> str:
    return request.form.get("email", "").strip().lower()[:254]
