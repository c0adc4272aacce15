"""App: wires the local Microsoft's pages, endpoints and refusals into one Flask application."""

from __future__ import annotations

from pathlib import Path

from flask import Flask, Response, request
from jinja2 import ChoiceLoader, FileSystemLoader
from werkzeug.exceptions import HTTPException

from portal.sandbox import letters
from portal.sandbox.microsoft import (
    consent,
    endpoints,
    graph,
    graph_attachments,
    graph_delta,
    graph_messages,
    pages,
    steering,
)
from portal.sandbox.microsoft.errors import GraphError, StsError
from portal.sandbox.microsoft.microsoft import LocalMicrosoft
from portal.sandbox.microsoft.refusals import Pretended
from portal.sandbox.microsoft.settings import MicrosoftSettings
from portal.sandbox.shell import put_around

# Imported for the methods they register.
GRAPH_METHODS = (graph_messages, graph_delta, graph_attachments)
HERE = Path(__file__).parent
SHARED = HERE.parent


def create_local_microsoft(settings: MicrosoftSettings | None = None) -> Flask:
    app = Flask("portal.sandbox.microsoft", static_folder=str(SHARED / "static"))
    app.extensions["local_microsoft"] = LocalMicrosoft.start(settings or MicrosoftSettings())
    folders = (HERE / "templates", SHARED / "templates")
    app.jinja_loader = ChoiceLoader([FileSystemLoader(folder) for folder in folders])
    app.jinja_env.globals["stand_in"] = "Local Microsoft"
    app.json.sort_keys = False  # type: ignore[attr-defined]
    put_around(app)
    letters.add_filters(app)
    for blueprint in (
        endpoints.blueprint,
        consent.blueprint,
        graph.blueprint,
        steering.blueprint,
        pages.blueprint,
    ):
        app.register_blueprint(blueprint)
    app.register_error_handler(GraphError, GraphError.response)
    app.register_error_handler(StsError, StsError.response)
    app.register_error_handler(Pretended, Pretended.response)
    app.register_error_handler(HTTPException, _http_error)
    return app


def _http_error(error: HTTPException) -> Response | HTTPException:
    if not request.path.startswith("/v1.0/"):
        return error
    if error.code == 404:
        words = "Resource not found for the segment: the local Microsoft does not know this method."
        return GraphError(400, "BadRequest", words).response()
    return GraphError(error.code or 500, "BadRequest", error.description or error.name).response()
