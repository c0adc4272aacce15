"""The pages: they speak HTTP, and decide nothing. One module per noun."""

from flask import Flask

from portal.web import (
    addresses,
    approaches,
    arrivals,
    batches,
    company,
    connections,
    consents,
    contacts,
    context,
    corrections,
    dispatches,
    documents,
    domains,
    errors,
    files,
    guard,
    health,
    home,
    inquiries,
    links,
    lists,
    mailboxes,
    mergers,
    outbox,
    places,
    policy,
    profile,
    properties,
    resendings,
    restoration,
    reviews,
    rules,
    sendings,
    servers,
    session,
    settings,
    static,
    trials,
    users,
    wording,
    workers,
)

BLUEPRINTS = (
    home.pages,
    session.pages,
    documents.pages,
    lists.pages,
    files.pages,
    sendings.pages,
    dispatches.pages,
    inquiries.pages,
    resendings.pages,
    corrections.pages,
    arrivals.pages,
    restoration.pages,
    outbox.pages,
    reviews.pages,
    batches.pages,
    contacts.pages,
    mergers.pages,
    properties.pages,
    mailboxes.pages,
    connections.pages,
    consents.pages,
    addresses.pages,
    servers.pages,
    settings.pages,
    users.pages,
    links.pages,
    places.pages,
    policy.pages,
    rules.pages,
    approaches.pages,
    company.pages,
    wording.pages,
    profile.pages,
    trials.pages,
    workers.pages,
    domains.pages,
    health.pages,
    static.pages,
    static.preferences,
)


def register(app: Flask) -> None:
    """Bind the pages, their guards and what every page knows."""
    guard.register(app)
    context.register(app)
    errors.register(app)
    static.register(app)
    for pages in BLUEPRINTS:
        app.register_blueprint(pages)
