"""What a person sees when something is wrong: one sentence, and the next step."""

import logging

from flask import Flask, request
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DataError
from werkzeug.exceptions import HTTPException

from portal.extensions import db
from portal.web import access
from portal.web.guard import to_sign_in
from portal.web.page import page

KNOWN = {400, 401, 403, 404, 405, 413, 429, 500, 503}

UNSTORABLE = "This holds a number or a character that cannot be kept. Go back and correct it."

log = logging.getLogger(__name__)


def register(app: Flask) -> None:
    """One page per kind of error; anything unforeseen gets a number to quote."""

    @app.errorhandler(CSRFError)
    def _csrf(problem: CSRFError) -> ResponseReturnValue:
        if not current_user.is_authenticated:  # signed out meanwhile, perhaps in another tab
            return to_sign_in()
        return error_page(400, "This page was open too long. Go back, reload it and try again.")

    @app.errorhandler(HTTPException)
    def _http(problem: HTTPException) -> ResponseReturnValue:
        status = problem.code or 500
        if status < 400:
            return problem.get_response()
        return error_page(status, "")

    @app.errorhandler(DataError)
    @app.errorhandler(OverflowError)
    def _unstorable(problem: Exception) -> ResponseReturnValue:
        log.warning("%s on %s", type(problem).__name__, request.endpoint)
        db.session.rollback()
        return error_page(400, UNSTORABLE)

    @app.errorhandler(Exception)
    def _unforeseen(problem: Exception) -> ResponseReturnValue:
        number = access.number()
        log.error("error %s on %s", number, request.endpoint, exc_info=problem)
        db.session.rollback()
        return error_page(500, "", number)


def error_page(status: int, sentence: str, number: str = "") -> ResponseReturnValue:
    """The page of an error, or its fragment."""
    shown = status if status in KNOWN else (400 if status < 500 else 500)
    return page(f"errors/{shown}.html", "fragment", status, sentence=sentence, number=number)
