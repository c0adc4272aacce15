"""Microsoft 365 in a real browser: connected, an address tried, an invoice sent and proven."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from portal.extensions import db
from portal.sandbox.microsoft import MicrosoftServer
from portal.seeds import PASSWORD, seed_demo
from tests import servers
from tests.factories import ACCOUNTS, OFFICE
from tests.office365 import Microsoft
from tests.servers import Live

PATIENCE = 30_000


@pytest.fixture
def microsoft(local_microsoft: MicrosoftServer) -> Microsoft:
    return Microsoft(local_microsoft.url)


@pytest.fixture
def demo(sqlite_template: Path, tmp_path: Path, microsoft: Microsoft) -> Iterator[Live]:
    """A running Sendwright with the demo company in it, that Microsoft knows."""
    copy = tmp_path / "live.sqlite3"
    copy.write_bytes(sqlite_template.read_bytes())
    store = f"sqlite:///{copy}"
    with (
        servers.redis_server() as redis_url,
        servers.live_portal(tmp_path, store, redis_url, **microsoft.settings) as running,
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


def test_from_connecting_to_an_invoice_whose_from_is_proven(
    olive: Page, demo: Live, microsoft: Microsoft
) -> None:
    olive.goto(f"{demo.url}/mailboxes/new?purpose=company")
    olive.get_by_role("link", name="Microsoft 365").click()
    olive.get_by_role("button", name="Continue to Microsoft").click()
    olive.get_by_text(OFFICE).first.click()
    olive.get_by_role("button", name="Accept").click()
    expect(olive.locator("main")).to_contain_text(f"Connected: {OFFICE}")

    # The shared mailbox that invoices come from: tried once, and used after that.
    olive.get_by_role("link", name="Add an address").click()
    olive.get_by_label("Address").fill(ACCOUNTS)
    olive.get_by_role("button", name="Continue").click()
    olive.get_by_role("button", name="Try it").click()
    expect(olive.locator("#walk")).to_contain_text("It works", timeout=PATIENCE)
    olive.get_by_role("link", name="Use it: send invoices from it").click()
    olive.get_by_role("button", name="Save").click()

    olive.goto(f"{demo.url}/documents/invoice")
    olive.get_by_role("link", name="INV-0042").click()
    olive.get_by_role("link", name=re.compile("^Send invoice")).click()
    expect(olive.locator("main")).to_contain_text(ACCOUNTS)
    olive.get_by_role("button", name=re.compile("^Send invoice INV-0042")).click()
    expect(olive.locator("#dispatch")).to_contain_text("Accepted", timeout=PATIENCE)
    expect(olive.locator("main")).to_contain_text("The sent copy says", timeout=PATIENCE)
    _trial, invoice = microsoft.accepted()
    assert f"<{ACCOUNTS}>" in invoice["from"] and invoice["sender"] == ""
    assert "mary.lee@homes.example" in invoice["to"]
