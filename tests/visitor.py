"""A visitor: one of the cast, signed in, using the pages as a browser does, token and all."""

import re
from typing import Any

from bs4 import BeautifulSoup
from flask import Flask
from flask import session as flask_session
from flask_wtf.csrf import generate_csrf
from werkzeug.test import TestResponse

from portal.accounts import User
from portal.extensions import db

HTMX = {"HX-Request": "true"}


class Visitor:
    """Opens pages and sends forms."""

    def __init__(self, app: Flask, session_id: str) -> None:
        self.client = app.test_client()
        with app.test_request_context():  # the token that any page would hold
            self._token, kept = generate_csrf(), flask_session["csrf_token"]
        with self.client.session_transaction() as session:
            session["_user_id"], session["_fresh"] = session_id, True
            session["csrf_token"] = kept

    def get(self, address: str, *, htmx: bool = False, **more: Any) -> TestResponse:
        return self.client.get(address, headers=HTMX if htmx else {}, **more)

    def post(
        self, address: str, form: dict[str, Any] | None = None, *, htmx: bool = False, **more: Any
    ) -> TestResponse:
        data = {"csrf_token": self._token, **(form or {})}
        return self.client.post(address, data=data, headers=HTMX if htmx else {}, **more)

    def words(self, address: str) -> str:
        """What a page says, as one line of text."""
        return said(self.get(address))


def token_in(page: str) -> str:
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
    assert found, "the page has no form"
    return found[1]


def said(answer: TestResponse) -> str:
    """The text of an answer, its spaces made single."""
    return " ".join(
        BeautifulSoup(answer.text.replace("<wbr>", ""), "html.parser").get_text(" ").split()
    )


def visitor(app: Flask, make: Any) -> Visitor:
    """One of the cast (a factory such as olive), signed in."""
    with app.app_context():
        user: User = make()
        session_id = user.get_id()
        db.session.remove()
    return Visitor(app, session_id)
