"""Shell: what the app of every stand-in has around its views: who may come in, how calls end."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from flask import Flask, Response, g, request

from portal.sandbox.faults import ConnectionCut
from portal.sandbox.store import StoreClosed

#: Where a stand-in's app leaves the mark by which its server knows that it has to cut.
CUT = "sandbox.cut"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "frame-src 'self'; base-uri 'none'; frame-ancestors 'self'; form-action 'self'"
)


def put_around(app: Flask) -> None:
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.register_error_handler(ConnectionCut, _cut)
    app.register_error_handler(StoreClosed, lambda _: _cut(ConnectionCut("reset")))
    app.before_request(_refuse_other_sites)
    app.after_request(_protect)


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
    request.environ[CUT] = cut
    answer = {"error": {"code": 502, "message": "The connection was cut.", "errors": []}}
    return Response(json.dumps(answer), 502, mimetype="application/json")


def _protect(answer: Response) -> Response:
    if answer.mimetype == "text/html" and "Content-Security-Policy" not in answer.headers:
        answer.headers["Content-Security-Policy"] = f"{POLICY} {g.get('form_target', '')}".strip()
        answer.headers["Referrer-Policy"] = "same-origin"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer
