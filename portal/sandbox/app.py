"""App: wires the local Google's pages, endpoints and refusals into one Flask application."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from portal.sandbox import (
    consent,
    gmail,
    gmail_drafts,
    gmail_messages,
    gmail_settings,
    letters,
    oauth,
    pages,
    pages_settings,
    steering,
)
from portal.sandbox.errors import GoogleError, OAuthError
from portal.sandbox.google import LocalGoogle, current
from portal.sandbox.settings import SandboxSettings
from portal.sandbox.shell import put_around

# Imported for the methods they register.
GMAIL_METHODS = (gmail_messages, gmail_drafts, gmail_settings)


def create_sandbox(settings: SandboxSettings | None = None) -> Flask:
    app = Flask("portal.sandbox")
    app.extensions["local_google"] = LocalGoogle.start(settings or SandboxSettings())
    app.jinja_env.globals["stand_in"] = "Local Google"
    put_around(app)
    letters.add_filters(app)
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
    app.register_error_handler(HTTPException, _http_error)
    app.after_request(_date)
    return app


def _date(answer: Response) -> Response:
    """By its own clock, like the times it gives messages."""
    answer.date = datetime.fromtimestamp(current().clock.now(), UTC)
    return answer


def _http_error(error: HTTPException) -> Response | HTTPException:
    if not request.path.startswith(("/gmail/", "/upload/")):
        return error
    if error.code == 404:
        words = "The local Google does not know this method of the Gmail API."
        return GoogleError(501, "notImplemented", words).response()
    return GoogleError(error.code or 500, "badRequest", error.description or error.name).response()
