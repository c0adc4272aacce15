"""Answering with a page, or with the one block of it that htmx asked for, at the same address."""

from typing import Any

from flask import make_response, redirect, render_template
from flask.typing import ResponseReturnValue
from htmx_flask import make_response as make_htmx_response
from htmx_flask import request
from jinja2_fragments.flask import render_block


def wants_fragment() -> bool:
    """Whether htmx asked for a part of a page (not for a boosted link or a restored page)."""
    htmx = request.htmx
    return bool(htmx) and not htmx.boosted and not htmx.history_restore_request


def page(
    template: str, block: str | None = None, status: int = 200, **context: Any
) -> ResponseReturnValue:
    """The page; for an htmx request its block, where it names one."""
    if block and wants_fragment():
        return make_response(render_block(template, block, **context), status)
    return make_response(render_template(template, **context), status)


def see_other(target: str) -> ResponseReturnValue:
    """After a deed, a page: by redirect, or by HX-Redirect when htmx did the deed."""
    if wants_fragment():
        return whole_window(target, 200)
    return redirect(target, 303)


def whole_window(target: str, status: int) -> ResponseReturnValue:
    """Have htmx open another page, rather than put it into the place of a part of this one."""
    answer: ResponseReturnValue = make_htmx_response("", status, redirect=target)
    return answer
