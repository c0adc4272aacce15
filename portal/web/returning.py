"""Returning: the way back to a batch, for who left it to put something right elsewhere."""

import time

from flask import request, session

#: After so many seconds somebody is at something else.
FRESH = 1800
#: Where one puts right what a batch lacks.
ELSEWHERE = {
    *("contacts", "properties", "documents", "files", "users", "places", "settings"),
    *("policy", "rules", "approaches", "mailboxes", "addresses"),
}


def remember(href: str, name: str) -> None:
    """This is where they will want to come back to."""
    session["returning"] = [href, name, int(time.time())]


def forget() -> None:
    """It is done."""
    session.pop("returning", None)


def way_back() -> tuple[str, str] | None:
    """Address and name of the batch, on pages where something may be put right for it."""
    href, name, since = session.get("returning", ("", "", 0))
    fresh = time.time() - float(since) < FRESH
    return (href, name) if fresh and request.blueprint in ELSEWHERE else None
