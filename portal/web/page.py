"""Answering with a page, or with the one block of it that htmx asked for, at the same address."""

from typing import Any

from flask import make_response, redirect, render_template, request
from flask.typing import ResponseReturnValue
from jinja2_fragments.flask import render_block


def wants_fragment() -> bool:
    """Whether htmx asked for a part of a page (not for a boosted link or a restored page)."""
    asked = request.headers.get("HX-Request") == "true"
    whole = request.headers.get("HX-Boosted") or request.headers.get("HX-History-Restore-Request")
    return asked and not whole


def page(
    template: str, block: str | None = None, status: int = 200, **context: Any
) -> ResponseReturnValue:
    """The page; for an htmx request its block, where it names one."""
    if block and wants_fragment():
        return make_response(render_block(template, block, **context), status)
    return make_response(render_template(template, **context), status)


def see_other(target: str) -> ResponseReturnValue:
    """After a deed, a page: by redirect, or by HX-Redirect when htmx did the deed."""
    if request.headers.get("HX-Request") == "true" and not request.headers.get("HX-Boosted"):
        response = make_response("", 200)
        response.headers["HX-Redirect"] = target
        return response
    return redirect(target, 303)
