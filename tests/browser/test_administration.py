"""Administration in a browser: the way to Google and back, and the tick that comes by itself."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from portal.extensions import db
from portal.mailboxes import Address
from tests import servers
from tests.browser.steps import pass_google
from tests.factories import ACCOUNTS, OFFICE, PASSWORD, connected, document, nia, olive, tom

pytestmark = pytest.mark.sqlite_only

OLIVE = "olive@brightspark.example"


@pytest.fixture
def manager(live: servers.Live, page: Page) -> Page:
    """Olive, signed in."""
    with live.app.app_context():
        olive(), tom(), nia()
    page.set_default_timeout(10_000)
    page.goto(f"{live.url}/sign-in")
    page.get_by_label("E-mail address").fill(OLIVE)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    return page


@pytest.fixture
def office(live: servers.Live) -> None:
    """The company's mailbox, connected."""
    with live.app.app_context():
        olive()
        connected(live.google.url)


def test_the_office_manager_connects_gmail_and_gives_what_she_left_out(manager: Page) -> None:
    manager.get_by_role("link", name="Administration").click()
    manager.get_by_role("link", name="Connect a mailbox").click()
    expect(manager.get_by_text("Leave every box ticked").first).to_be_visible()
    manager.get_by_role("button", name="Continue to Google").click()
    pass_google(manager, OFFICE, untick="settings.basic")
    expect(manager.get_by_text(f"Connected: {OFFICE}.")).to_be_visible()
    expect(manager.get_by_role("heading", name="A box was left unticked")).to_be_visible()
    manager.get_by_role("button", name="Choose permissions again").click()
    manager.get_by_role("link", name="Use another account").click()
    pass_google(manager, OLIVE)
    expect(manager.get_by_text(f"You signed in as {OLIVE}")).to_be_visible()
    manager.get_by_role("button", name="Start again").click()
    pass_google(manager, OFFICE)
    expect(manager.get_by_role("row", name=re.compile("tom@.*Verified"))).to_be_visible()
    expect(manager.get_by_text("unticked")).to_have_count(0)


@pytest.mark.usefixtures("office")
def test_the_tick_appears_by_itself_and_leads_to_its_use(live: servers.Live, manager: Page) -> None:
    manager.goto(f"{live.url}/settings")
    manager.get_by_role("link", name="Add an address").click()
    manager.get_by_label("Address to send from").fill(ACCOUNTS)
    manager.get_by_role("button", name="Show me how").click()
    with manager.context.expect_page() as opened:
        manager.get_by_role("link", name="Open Gmail’s settings").click()
    gmail = opened.value
    gmail.get_by_role("link", name="Add another email address").click()
    gmail.get_by_role("textbox", name="Email address").fill(ACCOUNTS)
    gmail.get_by_role("button", name="Next Step").click()
    gmail.get_by_role("button", name="Send Verification").click()
    copy = manager.get_by_role("button", name="Copy the address")
    copy.focus()
    expect(manager.get_by_role("heading", name="Waiting to be confirmed")).to_be_visible()
    expect(copy).to_be_focused()  # a page that looks by itself moves nobody
    gmail.get_by_role("link", name=re.compile("Open the inbox")).click()
    gmail.get_by_role("link", name=re.compile("Confirmation")).first.click()
    gmail.locator("a[href*='/mail/confirm/']").click()
    gmail.get_by_role("button", name="Confirm").click()
    expect(manager.get_by_role("heading", name=f"{ACCOUNTS} is verified")).to_be_visible()
    expect(manager.locator("#status")).to_have_text(f"{ACCOUNTS} is verified")
    looks: list[str] = []
    manager.on("request", lambda one: looks.append(one.url))
    manager.wait_for_timeout(4000)
    assert not looks  # nothing is left to look for
    manager.get_by_role("link", name="Use it: send invoices from it").click()
    manager.get_by_role("button", name="Save").click()
    saved = f"Saved. Invoices now come from {ACCOUNTS}."
    expect(manager.get_by_text(saved)).to_be_visible()


@pytest.mark.usefixtures("office")
def test_a_choice_is_shown_while_it_is_made(live: servers.Live, manager: Page) -> None:
    manager.goto(f"{live.url}/settings/send-from")
    manager.get_by_text("Specified address", exact=True).click()
    manager.get_by_label("Address", exact=True).select_option("")
    other = manager.get_by_label("Another address")
    other.press_sequentially("money@brightspark.example", delay=30)
    expect(manager.get_by_text("No connected mailbox may send as money@")).to_be_visible()
    expect(other).to_be_focused()
    expect(other).to_have_value("money@brightspark.example")


def test_a_placeholder_goes_where_one_was_writing(live: servers.Live, manager: Page) -> None:
    with live.app.app_context():
        document()
    manager.goto(f"{live.url}/settings/wording/invoice")
    manager.get_by_label("Message").fill("In all: ")
    manager.get_by_role("button", name="Total").click()
    expect(manager.get_by_label("Message")).to_have_value("In all: {{ total }}")
    expect(manager.locator("#preview")).to_contain_text("In all: $1,240.00")
    manager.get_by_label("Subject").fill("{{ nonsense }}")
    expect(manager.locator("#preview")).to_contain_text("is not a placeholder")


PAGES = (
    "/settings",
    "/settings/send-from/invoice",
    "/settings/company",
    "/settings/wording",
    "/profile",
    "/mailboxes/new",
    "/mailboxes/1/disconnection",
    "/mailboxes/1/addresses/new",
    "/mailboxes/1/addresses/3",
    "/google/callback",
)


def test_the_first_step_can_be_seen_before_a_mailbox_is_connected(manager: Page) -> None:
    expect(manager.get_by_role("link", name="Connect the mailbox")).to_be_visible()
    for scheme in ("light", "dark"):
        manager.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        assert not [one["nodes"] for one in Axe().run(manager).response["violations"]]


@pytest.mark.usefixtures("office")
def test_a_long_address_stays_inside_its_walk_through(live: servers.Live, manager: Page) -> None:
    email = "accounts-and-general-enquiries@brightspark.example"
    manager.set_viewport_size({"width": 360, "height": 800})
    manager.goto(f"{live.url}/mailboxes/1/addresses/new?email={email}")
    manager.get_by_role("button", name="Show me how").click()
    expect(manager.get_by_role("heading", name="Not added in Gmail yet")).to_be_visible()
    with live.app.app_context():
        db.session.query(Address).filter_by(email=email).update({"verification": "accepted"})
        db.session.commit()
    manager.reload()
    expect(manager.get_by_role("heading", name=f"{email} is verified")).to_be_visible()
    assert manager.evaluate("document.documentElement.scrollWidth") <= 360
