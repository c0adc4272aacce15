"""App: wires the local Google's pages, endpoints and refusals into one Flask application."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from portal.sandbox import (
    consent,
    gmail,
    gmail_drafts,
    gmail_messages,
    gmail_settings,
    oauth,
    pages,
    pages_settings,
    steering,
)
from portal.sandbox.errors import GoogleError, OAuthError
from portal.sandbox.faults import ConnectionCut
from portal.sandbox.google import LocalGoogle
from portal.sandbox.settings import SandboxSettings
from portal.sandbox.store import StoreClosed

# Imported for the methods they register.
GMAIL_METHODS = (gmail_messages, gmail_drafts, gmail_settings)
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "frame-src 'self'; base-uri 'none'; frame-ancestors 'self'; form-action 'self'"
)


def create_sandbox(settings: SandboxSettings | None = None) -> Flask:
    app = Flask("portal.sandbox")
    app.extensions["local_google"] = LocalGoogle.start(settings or SandboxSettings())
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    for blueprint in (
        oauth.blueprint,
        consent.blueprint,
        gmail.blueprint,
        steering.blueprint,
        pages.blueprint,
        pages_settings.blueprint,
    ):
        app.register_blueprint(blueprint)
    app.register_error_handler(GoogleError, GoogleError.response)
    app.register_error_handler(OAuthError, OAuthError.response)
    app.register_error_handler(ConnectionCut, _cut)
    app.register_error_handler(StoreClosed, lambda _: _cut(ConnectionCut("reset")))
    app.register_error_handler(HTTPException, _http_error)
    app.before_request(_refuse_other_sites)
    app.after_request(_protect)
    return app


def _refuse_other_sites() -> Response | None:
    """It has no login, so a page of another site must not press its buttons."""
    # A name of somebody else's that leads to this machine would pass for a page of ours.
    named = urlsplit(f"//{request.host}").hostname not in ("127.0.0.1", "localhost", "::1")
    pressed = request.method != "GET" and request.headers.get("Sec-Fetch-Site") == "cross-site"
    if named or pressed:
        return Response("This has to come from a page of this machine.\n", 403)
    return None


def _cut(cut: ConnectionCut) -> Response:
    """Only the server holds the socket: it reads this mark and closes it."""
    request.environ["local_google.cut"] = cut
    answer = {"error": {"code": 502, "message": "The connection was cut.", "errors": []}}
    return Response(json.dumps(answer), 502, mimetype="application/json")


def _http_error(error: HTTPException) -> Response | HTTPException:
    if not request.path.startswith(("/gmail/", "/upload/")):
        return error
    if error.code == 404:
        words = "The local Google does not know this method of the Gmail API."
        return GoogleError(501, "notImplemented", words).response()
    return GoogleError(error.code or 500, "badRequest", error.description or error.name).response()


def _protect(answer: Response) -> Response:
    if answer.mimetype == "text/html" and "Content-Security-Policy" not in answer.headers:
        answer.headers["Content-Security-Policy"] = f"{POLICY} {g.get('form_target', '')}".strip()
        answer.headers["Referrer-Policy"] = "same-origin"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer
