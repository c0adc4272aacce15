"""People in a browser: an invitation opened on a phone, a mailbox by link, a tablet in a van."""

import base64
import re
import time
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from portal import devices
from tests.browser.steps import PATIENCE, NewPage, pass_google
from tests.factories import PASSWORD, connected, contact, nia, olive, tom
from tests.servers import Live

pytestmark = pytest.mark.sqlite_only

MAX = "max.stone@brightspark.example"
PIN = "4829"


@pytest.fixture
def company(live: Live) -> Live:
    """Bright Spark with its mailbox connected, and Max, who cannot sign in yet."""
    with live.app.app_context():
        olive(), tom(), nia()
        connected(live.google.url)
        contact(type="employee", first_name="Max", last_name="Stone", email=MAX)
    deadline = time.monotonic() + PATIENCE / 1000
    while requests.get(f"{live.url}/readyz", timeout=5).json()["queue"] != "ok":
        assert time.monotonic() < deadline, "the worker does not listen"
        time.sleep(0.1)
    return live


@pytest.fixture
def desk(company: Live, new_page: NewPage) -> Page:
    """Olive at her desk, signed in."""
    page = new_page(1280, 900)
    page.goto(f"{company.url}/sign-in")
    sign_in(page, "olive")
    return page


@pytest.fixture
def phone(company: Live, new_page: NewPage) -> Page:
    """Somebody's phone, on which nobody has ever signed in."""
    return new_page(360, 740)


def sign_in(page: Page, first: str) -> None:
    page.get_by_label("E-mail address").fill(f"{first}@brightspark.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name=re.compile("^Menu of"))).to_be_visible()


def sign_out(page: Page) -> None:
    page.get_by_role("button", name=re.compile("^Menu of")).click()
    page.get_by_role("button", name="Sign out").click()


def mailed_link(company: Live, to: str) -> str:
    """The link in the newest mail that really left for an address."""
    asked = f"{company.google.url}/_sandbox/accepted?raw=1"
    mails = [one["raw"] for one in requests.get(asked, timeout=5).json() if to in one["to"]]
    mail = message_from_bytes(base64.urlsafe_b64decode(mails[-1] + "=="), policy=default)
    assert isinstance(mail, EmailMessage)
    text = mail.get_body(("plain",))
    assert text is not None
    found = re.search(re.escape(company.url) + r"/links/[\w/-]+", text.get_content())
    assert found, text.get_content()
    return found[0]


def test_max_is_invited_and_chooses_his_password_on_his_phone(
    company: Live, desk: Page, phone: Page
) -> None:
    desk.goto(f"{company.url}/people")
    desk.get_by_role("link", name="Create a user from a contact").click()
    desk.get_by_role("link", name="Max Stone").first.click()
    desk.get_by_role("link", name="Create user").click()
    desk.get_by_role("button", name="Create user").click()
    expect(desk.get_by_role("heading", name="Mailed", exact=True)).to_be_visible()
    desk.get_by_role("link", name="See what becomes of it").click()
    expect(desk.get_by_text("Accepted by Gmail").first).to_be_visible()
    phone.goto(mailed_link(company, MAX))
    expect(phone.get_by_role("heading", name="Choose your password")).to_be_visible()
    phone.get_by_label("New password").fill("four plain words")
    phone.get_by_label("The same again").fill("four plain words")
    phone.get_by_role("button", name="Set it and sign in").click()
    expect(phone.get_by_text("Welcome, Max Stone.")).to_be_visible()


def test_tom_connects_his_mailbox_by_a_link_and_olive_sees_it(
    company: Live, desk: Page, phone: Page
) -> None:
    desk.goto(f"{company.url}/people")
    desk.get_by_role("button", name="Send a link to Tom Baker").click()
    address = desk.locator("[data-copy]").get_attribute("data-copy")
    assert address
    phone.goto(address)
    phone.get_by_role("button", name="Continue to Google").click()
    pass_google(phone, "tom@brightspark.example")
    expect(phone.get_by_role("heading", name="Thank you")).to_be_visible()
    phone.goto(f"{company.url}/profile")
    expect(phone.get_by_role("heading", name="Sign in")).to_be_visible()
    desk.goto(f"{company.url}/people")
    row = desk.get_by_role("row", name=re.compile("Tom Baker"))
    expect(row).to_contain_text("Connected, checked")
    expect(row).to_contain_text("through their own mailbox")


def test_two_people_share_the_tablet_of_a_van(company: Live, phone: Page) -> None:
    phone.goto(f"{company.url}/sign-in")
    phone.get_by_text("Does this tablet belong to several people?").click()
    phone.get_by_label("This is a shared tablet").check()
    phone.get_by_label("What you call it").fill("Van 3")
    sign_in(phone, "tom")
    phone.goto(f"{company.url}/profile")
    phone.get_by_text("Choose a quick PIN").click()
    phone.get_by_label("New PIN").fill(PIN)
    phone.get_by_label("The PIN again").fill(PIN)
    phone.get_by_role("textbox", name="My password").fill(PASSWORD)
    phone.get_by_role("button", name="Set my PIN").click()
    expect(phone.get_by_text("Your quick PIN is set.")).to_be_visible()
    sign_out(phone)
    phone.get_by_role("link", name="Tom Baker").click()
    phone.get_by_label("Your PIN").fill(PIN)
    phone.keyboard.press("Enter")
    expect(phone.get_by_role("button", name="Menu of Tom Baker")).to_be_visible()
    sign_out(phone)
    phone.get_by_role("link", name="Sign in with e-mail and password").click()
    sign_in(phone, "nia")
    expect(phone.get_by_role("button", name="Menu of Nia Cole")).to_be_visible()


def test_a_tablet_that_nobody_touches_asks_who_it_is(company: Live, phone: Page) -> None:
    with company.app.app_context():
        devices.set_pin(tom(), PASSWORD, PIN)
    phone.clock.install()
    phone.goto(f"{company.url}/sign-in")
    phone.get_by_text("Does this tablet belong to several people?").click()
    phone.get_by_label("This is a shared tablet").check()
    sign_in(phone, "tom")
    phone.goto(f"{company.url}/contacts")
    phone.clock.run_for((devices.IDLE_SECONDS - 10) * 1000)
    expect(phone).to_have_url(f"{company.url}/contacts")
    with phone.expect_request(re.compile(r"/sign-in\?next=%2Fcontacts$")):
        phone.clock.run_for(20_000)


PAGES = ("/people", "/people/1", "/people/2", "/contacts/1/user", "/profile")
STRANGERS_PAGES = ("/sign-in", "/links/password/x", "/links/consent/x", "/links/connected")


def test_every_page_of_people_can_be_used_by_everybody(
    company: Live, desk: Page, phone: Page
) -> None:
    """By eye and by screen reader, on a phone and at a desk, light and dark."""
    desk.goto(f"{company.url}/people")
    desk.get_by_role("button", name="Send a link to Tom Baker").click()
    mailbox = str(desk.locator("[data-copy]").get_attribute("data-copy"))
    found = look(desk, "")
    for path in PAGES:
        desk.goto(company.url + path)
        found += look(desk, path)
    for path in (*STRANGERS_PAGES, mailbox.removeprefix(company.url)):
        phone.goto(company.url + path)
        found += look(phone, path)
    assert not found


def look(page: Page, path: str) -> list[str]:
    found = []
    for opener in page.locator("details:not([open]) > summary").all():
        opener.click()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        for width in (360, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            for one in Axe().run(page).response["violations"]:
                found.append(f"{path} {scheme} {width}: {one['id']} {one['nodes'][0]['html']}")
            if page.evaluate("document.documentElement.scrollWidth") > width:
                found.append(f"{path} {width}: scrolls sideways")
    return found
