"""Sendwright: a trades business's mail, from the right address, provably once."""

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from portal.config import ROOT, Config


def create_app(config: Config) -> Flask:
    """Wire the portal together. Reads no environment, opens no connection, decides nothing."""
    from portal import (  # noqa: F401  so that every table is known
        batches,
        cli,
        domains,
        extensions,
        history,
        instance,
        links,
        stores,
        testimonies,
        trials,
        web,
        workers,
    )
    from portal.providers import google, microsoft
    from portal.web import access

    app = Flask(
        "portal",
        root_path=str(ROOT / "portal"),
        template_folder=str(ROOT / "templates"),
        static_folder=str(ROOT / "static"),
        static_url_path="/static",
    )
    app.config.from_mapping(config.flask_settings())
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = stores.engine_options(config.DATABASE_URL)
    if config.is_https:  # behind the one proxy that ends TLS
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=0)  # type: ignore[method-assign]
    extensions.db.init_app(app)
    extensions.migrate.init_app(
        app, extensions.db, directory=str(ROOT / "migrations"), render_as_batch=True
    )
    extensions.login.init_app(app)
    access.register(app)
    web.guard.limit_bodies(app)
    extensions.csrf.init_app(app)
    extensions.htmx.init_app(app)
    extensions.limiter.init_app(app)
    stores.prepare(app)
    instance.watch(app)
    google.register(app, config)
    microsoft.register(app, config)
    web.register(app)
    cli.register(app)
    return app
