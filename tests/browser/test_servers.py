"""A mailbox at another provider, in a real browser: connected by its password, and it sends."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from portal.extensions import db
from portal.sandbox.post import Post
from portal.seeds import PASSWORD, seed_demo
from tests import servers
from tests.servers import Live

OFFICE = "office@brightspark.example"
PATIENCE = 20_000


@pytest.fixture
def demo(sqlite_template: Path, tmp_path: Path, post: Post) -> Iterator[Live]:
    """A running Sendwright with the demo company in it, that knows one mail server."""
    copy = tmp_path / "live.sqlite3"
    copy.write_bytes(sqlite_template.read_bytes())
    chosen = {
        "SMTP_ALLOWED_HOSTS": f"127.0.0.1:{post.tls_port}",
        "SMTP_CA_FILE": str(post.authority),
    }
    with (
        servers.redis_server() as redis_url,
        servers.live_portal(tmp_path, f"sqlite:///{copy}", redis_url, **chosen) as running,
    ):
        with running.app.app_context():
            seed_demo(db.session)
            db.session.remove()
        yield running


@pytest.fixture
def olive(demo: Live, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 360, "height": 800})
    page = context.new_page()
    page.goto(demo.url)
    page.get_by_label("E-mail").fill("olive@brightspark.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Password").press("Enter")
    expect(page.locator("main")).to_be_visible()
    yield page
    context.close()


def test_from_a_password_to_an_invoice_that_was_accepted(
    olive: Page, demo: Live, post: Post
) -> None:
    olive.goto(f"{demo.url}/mailboxes/new?purpose=company")
    olive.get_by_role("link", name="Another provider").click()
    olive.get_by_label("E-mail address").fill(OFFICE)
    olive.get_by_role("button", name="Go on").click()

    # What was guessed is wrong here, and it says so beside the field.
    olive.get_by_label("Server", exact=True).fill("127.0.0.1")
    olive.get_by_label("Port", exact=True).fill(str(post.tls_port))
    olive.get_by_label("Password").fill("not the password")
    olive.get_by_role("button", name="Check and connect").click()
    expect(olive.locator("main")).to_contain_text("does not accept this user name")

    olive.get_by_label("Password").fill("the office's password")
    olive.get_by_role("button", name="Check and connect").click()
    expect(olive.locator("main")).to_contain_text(f"Connected: {OFFICE}")
    assert not post.desk.accepted  # nothing was sent by it

    olive.goto(f"{demo.url}/documents/invoice")
    olive.get_by_role("link", name="INV-0042").click()
    olive.get_by_role("link", name=re.compile("^Send invoice")).click()
    olive.get_by_role("button", name=re.compile("^Send invoice INV-0042")).click()
    expect(olive.locator("#dispatch")).to_contain_text("Accepted", timeout=PATIENCE)
    (message,) = post.desk.accepted
    assert message.sender == OFFICE and message.user == OFFICE
    assert f"<{OFFICE}>" in message.header("From")
    assert message.recipients == ("mary.lee@homes.example",)
