"""A mailbox with a password is mended by a link too: at the same server, and tried first."""

import pytest
from flask import Flask

from portal import links, mailboxes
from portal.config import Config
from portal.extensions import db
from portal.links import Purpose
from portal.mailboxes import Health, Mailbox
from portal.providers.signing import Account
from portal.providers.submission import Security, Server
from portal.sandbox.post import Post
from tests import servers
from tests.factories import OFFICE, olive
from tests.visitor import said
from tests.web.test_users import Guest

pytestmark = pytest.mark.sqlite_only


@pytest.fixture
def config(database: str, redis_url: str, post: Post) -> Config:
    return servers.config_of(
        DATABASE_URL=database,
        REDIS_URL=redis_url,
        SMTP_ALLOWED_HOSTS=f"127.0.0.1:{post.tls_port}",
        SMTP_CA_FILE=str(post.authority),
    )


def test_a_password_is_given_again_by_a_link_without_signing_in(app: Flask, post: Post) -> None:
    with app.app_context():
        manager = olive()
        server = Server("127.0.0.1", post.tls_port, Security.TLS, OFFICE)
        box = mailboxes.connect_server(
            Account(OFFICE, OFFICE, "Bright Spark", ""), server, "an old password", owner=None
        )
        box.health = Health.NEEDS_SIGN_IN
        db.session.commit()
        link = f"/links/mailbox/{links.make(Purpose.MAILBOX, manager, None, box)}"
        box_id = box.id
    phone = Guest(app)
    assert "The password is needed again" in said(phone.get(link))
    wrong = phone.post(link, {"password": "wrong"})
    assert wrong.status_code == 422 and "does not accept" in said(wrong)
    assert phone.post(link, {"password": "the office's password"}).location == "/links/connected"
    assert phone.get(link).status_code == 410
    with app.app_context():
        assert db.session.get_one(Mailbox, box_id).can_send
