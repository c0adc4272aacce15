"""Small things every page asks for: the company's colours and logo."""

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, abort, current_app, request
from flask.typing import ResponseReturnValue

from portal.extensions import db
from portal.people import Company
from portal.web.context import company
from portal.web.guard import on_site

pages = Blueprint("static_pages", __name__)
preferences = Blueprint("preferences", __name__)

COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


def register(app: Flask) -> None:
    """Name every static file by its content, so that a browser keeps it until it changes."""
    folder = Path(str(app.static_folder))

    @app.url_defaults
    def _version(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint != "static" or _is_vendored(values["filename"]):  # most, and many a page
            return
        path = folder / values["filename"]
        if path.is_file():
            values["v"] = _fingerprint(path, path.stat().st_mtime_ns)

    @app.after_request
    def _keep(response: Response) -> Response:
        fixed = "v" in request.args or _is_vendored(request.path.removeprefix("/static/"))
        if request.endpoint == "static" and fixed and response.status_code == 200:
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def _is_vendored(filename: str) -> bool:
    """Its folder bears its version, and the style sheet names it without a fingerprint."""
    return filename.startswith("vendor/")


@cache
def _fingerprint(path: Path, _changed: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


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


@preferences.post("/preferences/theme")
def theme() -> ResponseReturnValue:
    """Remember the chosen colours in this browser."""
    from portal.web.context import THEMES
    from portal.web.page import see_other

    chosen = request.form.get("theme", "auto")
    response = see_other(on_site(request.form.get("next", "")))
    if chosen in THEMES:
        response.set_cookie(  # type: ignore[union-attr]
            "theme",
            chosen,
            max_age=365 * 86400,
            secure=current_app.config["PORTAL"].is_https,
            httponly=True,
            samesite="Lax",
        )
    return response
