"""App: the local mail server's pages and steering in one Flask application."""

from __future__ import annotations

from pathlib import Path

from flask import Flask
from jinja2 import ChoiceLoader, FileSystemLoader

from portal.sandbox import letters
from portal.sandbox.post import pages, steering
from portal.sandbox.post.desk import Desk
from portal.sandbox.post.office import Office
from portal.sandbox.server import StandInServer
from portal.sandbox.shell import put_around

HERE = Path(__file__).parent
SHARED = HERE.parent


def create_local_post(desk: Desk, where: str = "") -> Flask:
    app = Flask("portal.sandbox.post", static_folder=str(SHARED / "static"))
    app.extensions["local_post"] = Office(desk, where)
    folders = (HERE / "templates", SHARED / "templates")
    app.jinja_loader = ChoiceLoader([FileSystemLoader(folder) for folder in folders])
    app.jinja_env.globals["stand_in"] = "Local mail server"
    app.json.sort_keys = False  # type: ignore[attr-defined]
    put_around(app)
    letters.add_filters(app)
    app.register_blueprint(steering.blueprint)
    app.register_blueprint(pages.blueprint)
    return app


class PostOffice(StandInServer):
    """A local mail server's HTTP side: `with PostOffice(post.desk) as office: office.url`."""

    def __init__(
        self, desk: Desk, *, where: str = "", host: str = "127.0.0.1", port: int = 0
    ) -> None:
        super().__init__(create_local_post(desk, where), host, port)
