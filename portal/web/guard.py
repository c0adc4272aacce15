"""Who may open a page, and what a browser may do with it."""

import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar, cast
from urllib.parse import urlsplit

from flask import (
    Flask,
    Response,
    abort,
    current_app,
    g,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_login import current_user, logout_user

from portal.accounts import managers
from portal.config import Config
from portal.extensions import login
from portal.web import journey, tablet
from portal.web.page import wants_fragment, whole_window
from portal.web.roads import ROADS

#: The only pages a stranger may open.
OPEN = {
    "session.new",
    "session.create",
    "session.create_by_pin",
    "links.password",
    "links.set_password",
    "links.mailbox",
    "links.connect",
    "links.connected",
    "consents.question",
    "consents.answer",
    "connections.approved",
    "static",
    "health.alive",
    "health.ready",
    "health.figures",
    "static_pages.company_css",
}

#: Where Google and Microsoft bring people back to, also those who set out by a link of their own.
ON_THE_WAY = {road.back for road in ROADS.values()}
#: Parts of the portal that a quick PIN does not open; nor does it what managers alone may do.
NOT_BY_PIN = {"mailboxes", "connections", "addresses", "servers"}

#: All that a stranger can send is a form to sign in with.
STRANGERS_BODY = 16 * 1024
#: However busy a session is, after this many seconds somebody signs in anew.
LONGEST_SESSION = 7 * 24 * 3600
#: Being used prolongs a session, by a new cookie after so many seconds.
PROLONGED_EVERY = 600

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self' {elsewhere}",
        "frame-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "manifest-src 'self'",
    )
)

#: The mail a customer gets brings its own styles; it is shown alone in a sandboxed frame.
MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'self'; sandbox"
)
FRAMED = {"sendings.mail_now", "sendings.mail_typed"}

P = ParamSpec("P")
R = TypeVar("R")


def limit_bodies(app: Flask) -> None:
    """Read only what a form of ours can send, and for nobody no large one.

    Registered first: the CSRF check already reads the form.
    """

    @app.before_request
    def _readable_body() -> None:
        if request.is_json:  # forms would take it, with any depth and any type in any field
            abort(415)
        if request.method not in ("GET", "HEAD") and "_user_id" not in session:
            request.max_content_length = STRANGERS_BODY


def register(app: Flask) -> None:
    """Sign-in by default on every page, and the same headers on every answer."""
    config: Config = app.config["PORTAL"]
    signing_in = (config.GOOGLE_DISCOVERY_URL, config.MICROSOFT_AUTHORITY_URL)
    there = [f"{one.scheme}://{one.netloc}" for one in map(urlsplit, signing_in)]
    policy = POLICY.format(elsewhere=" ".join(there))
    login.unauthorized_handler(to_sign_in)

    app.before_request(_may_enter)

    @app.after_request
    def _headers(response: Response) -> Response:
        response.headers.setdefault("Content-Security-Policy", policy)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers.setdefault("Referrer-Policy", "same-origin")
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        response.headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=()"
        if config.is_https:
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        response.vary.add("HX-Request")
        if request.endpoint not in ("static", "static_pages.company_css"):
            response.headers.setdefault("Cache-Control", "no-store")
        return response


def _may_enter() -> ResponseReturnValue | None:
    """Nobody but who is signed in, and by a quick PIN alone not everywhere."""
    if request.endpoint in OPEN or request.endpoint is None:
        return None
    if current_user.is_authenticated and (_is_too_old() or tablet.is_over()):
        logout_user()
        session.clear()
    if request.endpoint in ON_THE_WAY and journey.is_by_link():
        return None
    if not current_user.is_authenticated:
        return to_sign_in()
    _prolong()
    tablet.touch()
    return to_password() if request.blueprint in NOT_BY_PIN and tablet.by_pin() else None


def _is_too_old() -> bool:
    now = time.time()
    return now - float(session.setdefault("since", now)) > LONGEST_SESSION


def _prolong() -> None:
    now = time.time()
    if now - float(session.get("seen", 0)) > PROLONGED_EVERY:
        session["seen"] = now


def managers_only(view: Callable[P, R]) -> Callable[P, R]:
    """For pages that decide for the whole company."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        if not current_user.is_manager:
            abort(403)
        if tablet.by_pin():
            return cast("R", to_password())
        return view(*args, **kwargs)

    return guarded


def whom_to_ask() -> str:
    """Who decides for the whole company, for whoever does not: "Olive Park or Jo Reid".

    Read once a request: a list may say it in each of its rows.
    """
    if "whom_to_ask" not in g:
        g.whom_to_ask = " or ".join(one.name for one in managers()) or "the office"
    found: str = g.whom_to_ask
    return found


def not_by_pin(view: Callable[P, R]) -> Callable[P, R]:
    """For what somebody must show their password for who came in with a quick PIN."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        if tablet.by_pin():
            return cast("R", to_password())
        return view(*args, **kwargs)

    return guarded


def to_sign_in() -> ResponseReturnValue:
    """To the sign-in page, the whole window when only a part of a page was asked for.

    The frame of a mail may show no page of ours, and says so in its own way.
    """
    if request.endpoint in FRAMED and request.headers.get("Sec-Fetch-Dest") == "iframe":
        return mail_frame(render_template("email/signed_out.html"), 401)
    wanted = request.full_path.rstrip("?") if request.method == "GET" else _pressed_on()
    target = url_for("session.new", next=wanted or None)
    if wants_fragment():
        return whole_window(url_for("session.new", next=_pressed_on() or None), 401)
    return redirect(target, 303)


def to_password() -> ResponseReturnValue:
    """To the page that asks for the password, and from there on to what was wanted."""
    wanted = request.full_path.rstrip("?") if request.method == "GET" else _pressed_on()
    target = url_for("session.confirm", next=wanted or None)
    if wants_fragment():
        return whole_window(url_for("session.confirm", next=_pressed_on() or None), 401)
    return redirect(target, 303)


def mail_frame(html: str, status: int = 200) -> Response:
    """What stands in the frame that shows a mail."""
    answer = Response(html, status, mimetype="text/html")
    answer.headers["Content-Security-Policy"] = MAIL_POLICY
    return answer


def _pressed_on() -> str:
    """The page a button was pressed on: what was typed there is brought back there."""
    page, adapter = urlsplit(request.referrer or ""), current_app.create_url_adapter(request)
    known = page.netloc == request.host and adapter is not None and adapter.test(page.path, "GET")
    return page.path if known else ""


def on_site(target: str) -> str:
    """The address if it is a plain path of this site, else the home page."""
    plain = target.startswith("/") and not target.startswith(("//", "/\\"))
    if not plain or any(ord(char) < 33 or char == "\\" for char in target):
        return url_for("home.index")
    return target
