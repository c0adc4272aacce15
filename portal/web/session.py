"""Signing in and out. A sign-in is a session that is made, and ended."""

import time

from flask import Blueprint, flash, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_limiter.util import get_remote_address
from flask_login import current_user, login_user, logout_user
from flask_wtf import FlaskForm
from wtforms import EmailField, HiddenField, PasswordField
from wtforms.validators import InputRequired

from portal import accounts
from portal.extensions import limiter
from portal.web.guard import on_site
from portal.web.page import page

pages = Blueprint("session", __name__)

WRONG = "That address and password do not belong together. Check both and try again."


class SignInForm(FlaskForm):  # type: ignore[misc]
    """What the sign-in page asks for."""

    next = HiddenField()
    email = EmailField("E-mail address", [InputRequired("Write your e-mail address.")])
    password = PasswordField("Password", [InputRequired("Write your password.")])


@pages.get("/sign-in")
def new() -> ResponseReturnValue:
    """The sign-in form."""
    if current_user.is_authenticated:
        return redirect(on_site(request.args.get("next", "")), 303)
    return page("login.html", form=SignInForm(request.args))


@pages.post("/sign-in")
@limiter.limit("20 per hour", key_func=lambda: f"{get_remote_address()}/{_typed_email()}")
@limiter.limit("100 per hour", key_func=lambda: f"address:{_typed_email()}")
@limiter.limit("60 per hour")  # less than the line above, so that no one place locks anybody out
def create() -> ResponseReturnValue:
    """Sign in, under a new session."""
    form = SignInForm()
    if not form.validate():
        return page("login.html", status=422, form=form)
    user = accounts.sign_in(_typed_email(), form.password.data or "")
    if user is None:
        form.password.errors = [WRONG]
        return page("login.html", status=422, form=form)
    session.clear()  # nothing of the stranger's session lives on
    session.permanent, session["since"] = True, time.time()
    login_user(user)
    return redirect(on_site(form.next.data or ""), 303)


@pages.post("/sign-out")
def destroy() -> ResponseReturnValue:
    """End the session, and with it every copy of its cookie, wherever that is."""
    accounts.end_sessions(current_user._get_current_object())
    logout_user()
    session.clear()
    flash("You are signed out, here and everywhere else.", "info")
    return redirect(url_for("session.new"), 303)


def _typed_email() -> str:
    return request.form.get("email", "").strip().lower()[:254]
