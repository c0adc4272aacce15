"""The pages: they speak HTTP, and decide nothing. One module per noun."""

from flask import Flask

from portal.web import (
    contacts,
    context,
    dispatches,
    documents,
    errors,
    guard,
    home,
    mailboxes,
    profile,
    session,
    settings,
    static,
)

BLUEPRINTS = (
    home.pages,
    session.pages,
    documents.pages,
    dispatches.pages,
    contacts.pages,
    mailboxes.pages,
    settings.pages,
    profile.pages,
    static.pages,
    static.preferences,
)


def register(app: Flask) -> None:
    """Bind the pages, their guards and what every page knows."""
    guard.register(app)
    context.register(app)
    errors.register(app)
    for pages in BLUEPRINTS:
        app.register_blueprint(pages)
