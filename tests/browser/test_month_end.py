"""The month-end in a real browser: Olive bills October, mends one invoice, sends, tries again."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from portal.extensions import db
from tests import servers
from tests.browser.steps import PATIENCE, accepted
from tests.factories import OFFICE, connected


@pytest.fixture
def demo(demo: servers.Live) -> servers.Live:
    """The demo company, its mailbox connected, everything running."""
    with demo.app.app_context():
        connected(demo.google.url)
        db.session.remove()
    return demo


def tile(page: Page, label: str) -> Locator:
    return page.locator(".tile", has_text=label).locator(".figure")


def fill_with_october(olive: Page, demo: servers.Live) -> None:
    """From the menu to a draft with October's unsent invoices of the north, checked."""
    olive.goto(demo.url)
    olive.get_by_role("navigation", name="Main", exact=True).get_by_text("Batches").click()
    expect(olive.locator("main")).to_contain_text("No batches yet")
    olive.get_by_role("link", name="New batch").first.click()
    olive.get_by_label("Region").select_option(label="North")
    expect(olive.locator("#found-title")).to_have_text("7 invoices")
    olive.get_by_label("Name").fill("October, North")
    olive.get_by_role("button", name="October").click()
    expect(olive.get_by_label("From")).to_have_value("2026-10-01")
    expect(olive.get_by_label("Region")).to_have_value(re.compile(r"\d+"))
    expect(olive.get_by_label("Name")).to_have_value("October, North")
    olive.get_by_role("button", name="Add 7 invoices").click()
    expect(olive.get_by_role("heading", name="Before it goes")).to_be_visible()


@pytest.mark.sqlite_only
def test_the_month_end(demo: servers.Live, olive: Page) -> None:
    # She fills a draft by filter; it is checked by itself, and nothing has left.
    fill_with_october(olive, demo)
    expect(tile(olive, "Not ready")).to_have_text("2")
    main = olive.locator("main")
    expect(main).to_contain_text("has no e-mail address.")
    expect(main).to_contain_text("No contact of 5 Depot Rd is marked Email Invoice.")

    # She mends one where it stands, comes back by the same press, and checks again.
    olive.get_by_role("link", name="Open the contact").first.click()
    olive.get_by_label("E-mail", exact=False).first.fill("office@gosford-school.example")
    olive.get_by_role("button", name="Save contact").click()
    expect(olive.get_by_role("heading", name="October, North")).to_be_visible()
    olive.get_by_role("button", name="Check again").click()
    expect(tile(olive, "Not ready")).to_have_text("1")
    expect(tile(olive, "Ready").first).to_have_text("6")
    assert accepted(demo) == []

    # The button says the deed; she is asked once more, and watches it leave.
    olive.get_by_role("link", name="Send 6 invoices…").click()
    expect(main).to_contain_text("1 is not ready and will not be sent.")
    olive.get_by_role("button", name="Send 6 invoices").click()
    expect(main).to_contain_text("6 of 6 invoices sent", timeout=PATIENCE)
    expect(olive.get_by_role("link", name="6 Sent")).to_be_visible()
    expect(tile(olive, "Not sent")).to_have_text("1")
    sent = accepted(demo)
    assert len(sent) == len({one["to"] for one in sent}) == 6
    assert all(f"<{OFFICE}>" in one["from"] for one in sent)
    assert any("office@gosford-school.example" in one["to"] for one in sent)

    # Only what did not get through is tried again.
    olive.get_by_role("button", name="Try the 1 that did not get through again").click()
    expect(olive.get_by_role("heading", name="October, North, again")).to_be_visible()
    expect(olive.locator(".items .number")).to_have_text(["INV-0036"])
    with olive.expect_download() as sheet:
        olive.goto(f"{demo.url}/batches/1")
        olive.get_by_role("link", name="Download as CSV").click()
    assert sheet.value.suggested_filename.endswith(".csv")
