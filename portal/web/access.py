"""Access: one line of the log for each request, and the number that all lines of a request bear.

The line names the route, never the address: an address may hold a key.
"""

import logging
import time
import uuid
from typing import Any

from flask import Flask, Response, g, request

from portal import logs

log = logging.getLogger(__name__)


def register(app: Flask) -> None:
    """Registered before anything else: refusals and their time count too."""

    @app.before_request
    def _begin() -> None:
        logs.forget()  # the thread that answers has answered others
        logs.note(request=uuid.uuid4().hex[:12])
        g.began = time.perf_counter()

    @app.after_request
    def _end(response: Response) -> Response:
        response.headers["X-Request-Id"] = number()
        facts: dict[str, Any] = {
            "method": request.method,
            "route": request.url_rule.rule if request.url_rule else "",
            "status": response.status_code,
            "ms": round(1000 * (time.perf_counter() - g.began), 1),
            "user": _user_id(),
        }
        with logs.about(**facts):
            log.info("request")
        return response


def number() -> str:
    """The number of this request, as its lines in the log bear it."""
    return str(logs.known("request") or "")


def _user_id() -> int | None:
    """Who asks, if it is known by now; a request for a static file does not find that out."""
    user = g.get("_login_user")
    return user.id if user is not None and user.is_authenticated else None
