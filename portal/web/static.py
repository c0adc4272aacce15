"""Small things every page asks for: the company's colours and logo, and the portal's health."""

import re

from flask import Blueprint, Response, abort, request
from flask.typing import ResponseReturnValue
from sqlalchemy import text

from portal import queueing
from portal.extensions import db
from portal.people import Company
from portal.web.context import company
from portal.web.guard import on_site

pages = Blueprint("static_pages", __name__)
preferences = Blueprint("preferences", __name__)

COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


@pages.get("/company.css")
def company_css() -> ResponseReturnValue:
    """The company's accent colour as a style sheet: style attributes are not allowed."""
    found = db.session.query(Company).first()
    accent = found.accent if found and COLOUR.fullmatch(found.accent) else ""
    css = f":root{{--accent:{accent}}}\n" if accent else "\n"
    response = Response(css, mimetype="text/css")
    response.headers["Cache-Control"] = "private, max-age=60"
    return response


@pages.get("/company/logo")
def logo() -> ResponseReturnValue:
    """The company's logo as it was stored."""
    found = company()
    if not found.has_logo or found.logo is None:
        abort(404)
    return Response(found.logo, mimetype=found.logo_type)


@pages.get("/healthz")
def health() -> ResponseReturnValue:
    """Whether this process can reach its database, and how the doorbell is."""
    db.session.execute(text("SELECT 1"))
    return {"database": "ok", "queue": queueing.health()}


@preferences.post("/preferences/theme")
def theme() -> ResponseReturnValue:
    """Remember the chosen colours in this browser."""
    from portal.web.context import THEMES
    from portal.web.page import see_other

    chosen = request.form.get("theme", "auto")
    response = see_other(on_site(request.form.get("next", "")))
    if chosen in THEMES:
        response.set_cookie(  # type: ignore[union-attr]
            "theme", chosen, max_age=365 * 86400, samesite="Lax", httponly=True
        )
    return response
