"""The whole story, as people live it, in a real browser against a whole running Sendwright."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from portal.extensions import db
from portal.seeds import PASSWORD, seed_demo
from tests.servers import Live

OFFICE = "office@brightspark.example"
ACCOUNTS = "accounts@brightspark.example"
PATIENCE = 20_000


@pytest.fixture
def demo(live: Live) -> Live:
    """A running Sendwright with the demo company in it."""
    with live.app.app_context():
        seed_demo(db.session)
        db.session.remove()
    return live


@pytest.fixture
def olive(demo: Live, browser: Browser) -> Iterator[Page]:
    """The office manager at her desk."""
    yield from at_work(browser, demo, "olive", width=1280)


@pytest.fixture
def tom(demo: Live, browser: Browser) -> Iterator[Page]:
    """A tradesperson with his phone."""
    yield from at_work(browser, demo, "tom", width=360)


@pytest.fixture
def nia(demo: Live, browser: Browser) -> Iterator[Page]:
    """A tradesperson whose address nobody verified."""
    yield from at_work(browser, demo, "nia", width=360)


def test_from_connecting_a_mailbox_to_an_invoice_that_is_proved(
    demo: Live, olive: Page, tom: Page
) -> None:
    # 1. The office manager connects the company's mailbox.
    olive.goto(f"{demo.url}/settings")
    olive.get_by_role("link", name="Connect a mailbox").click()
    go_to_google(olive)
    pass_google(olive, OFFICE)
    expect(olive).to_have_url(f"{demo.url}/settings")
    expect(olive.locator("main")).to_contain_text(f"Connected: {OFFICE}")

    # 2. She adds accounts@ in Gmail's own settings, and the tick appears by itself.
    expect(row(olive, "tom@brightspark.example")).to_contain_text("Verified")
    expect(row(olive, "quotes@brightspark.example")).to_contain_text("Waiting for the code")
    olive.get_by_role("link", name="Add an address").click()
    olive.get_by_label("Address").fill(ACCOUNTS)
    olive.get_by_role("button", name=re.compile("Next|Continue|Show|Add")).first.click()
    watched = olive.locator("#walk")
    expect(watched).to_contain_text("Not added in Gmail yet")
    add_in_gmail(olive, ACCOUNTS)
    expect(watched).to_contain_text("Waiting to be confirmed", timeout=PATIENCE)
    confirm_by_link(demo, olive, ACCOUNTS)
    expect(watched).to_contain_text(f"{ACCOUNTS} is verified", timeout=PATIENCE)

    # 3. She lets invoices come from it, and sees the From line before she saves.
    olive.get_by_role("link", name="Use it: send invoices from it").click()
    expect(olive.locator("#choices")).to_contain_text(f"Bright Spark Plumbing <{ACCOUNTS}>")
    olive.get_by_role("button", name="Save").click()

    # 4. Tom sends the invoice from his phone, a test to himself first.
    tom.goto(f"{demo.url}/documents/invoice")
    tom.get_by_role("link", name="INV-0042").click()
    tom.get_by_role("link", name=re.compile("^Send invoice")).click()
    expect(tom.locator("main")).to_contain_text(ACCOUNTS)
    expect(tom.locator("main")).to_contain_text("invoices come from")
    tom.get_by_role("button", name="Send a test to myself").click()
    expect(tom.locator("#test")).to_contain_text(re.compile("test", re.I))
    tom.get_by_role("button", name="Send invoice INV-0042 ($1,240.00) to Mary Lee").click()
    card = tom.locator("#dispatch")
    expect(card).to_contain_text(re.compile(r"Accepted by Gmail \d\d:\d\d"), timeout=PATIENCE)
    proved = f"The sent copy says From: Bright Spark Plumbing <{ACCOUNTS}>. That is what was asked."
    expect(card).to_contain_text(proved, timeout=PATIENCE)

    sent = {one["to"]: one for one in accepted(demo)}
    assert sent["Mary Lee <mary.lee@homes.example>"]["from"].endswith(f"<{ACCOUNTS}>")
    assert sent["tom@brightspark.example"]["headers"]["Subject"].startswith("[Test]")
    assert len(accepted(demo)) == 2

    # Mary finds it in her inbox.
    mary = olive.context.new_page()
    mary.goto(f"{demo.google.url}/mail/u/mary.lee@homes.example/")
    mary.get_by_text("Invoice INV-0042").first.click()
    expect(mary.get_by_role("link", name=re.compile("INV-0042.pdf"))).to_be_visible()


def test_an_unverified_user_address_waits_and_leaves_by_itself(
    demo: Live, olive: Page, nia: Page
) -> None:
    connect(demo, olive)
    olive.goto(f"{demo.url}/settings")
    olive.get_by_role("link", name="Change").first.click()
    olive.get_by_text("User: whoever presses Send").click()
    expect(olive.locator("#choices")).to_contain_text("Nia Cole")
    olive.get_by_role("button", name="Save").click()

    nia.goto(f"{demo.url}/documents/quote")
    nia.get_by_role("link", name="QU-0009").click()
    nia.get_by_role("link", name=re.compile("^Send quote")).click()
    expect(nia.locator("main")).to_contain_text(
        "No connected mailbox may send as nia@brightspark.example yet"
    )
    nia.get_by_role("button", name=re.compile(r"Send quote QU-0009 \(\$2,497.00\)")).click()
    card = nia.locator("#dispatch")
    expect(card).to_contain_text("On hold")
    assert accepted(demo) == []

    olive.goto(f"{demo.url}/settings")
    row(olive, "nia@brightspark.example").get_by_role("link").click()
    press_next(olive)
    add_in_gmail(olive, "nia@brightspark.example")
    confirm_by_code(demo, olive, "nia@brightspark.example")
    expect(olive.locator("#walk")).to_contain_text(
        "nia@brightspark.example is verified", timeout=PATIENCE
    )
    assert accepted(demo) == []  # it is Nia's own address, and nobody else can say yes for her
    where = nia.url
    nia.goto(f"{demo.url}/profile")
    nia.get_by_role("button", name="I agree", exact=True).click()
    nia.goto(where)
    expect(card).to_contain_text("Accepted by Gmail", timeout=PATIENCE)
    [message] = accepted(demo)
    assert message["from"] == "Nia Cole at Bright Spark Plumbing <nia@brightspark.example>"


def test_a_box_left_unticked_is_named_and_can_be_given_again(demo: Live, olive: Page) -> None:
    olive.goto(f"{demo.url}/settings")
    olive.get_by_role("link", name="Connect a mailbox").click()
    go_to_google(olive)
    pass_google(olive, OFFICE, untick="gmail.metadata")
    expect(olive.locator("main")).to_contain_text("unticked")
    olive.get_by_role("button", name="Choose permissions again").click()
    pass_google(olive, OFFICE)
    expect(olive.locator("main")).to_contain_text(f"Connected: {OFFICE}")
    expect(olive.locator("main")).not_to_contain_text("unticked")


def test_reconnecting_as_another_account_is_refused_and_changes_nothing(
    demo: Live, olive: Page
) -> None:
    connect(demo, olive)
    requests.post(f"{demo.google.url}/_sandbox/revoke", json={"email": OFFICE}, timeout=5)
    olive.goto(f"{demo.url}/settings")
    olive.get_by_role("button", name="Check now").first.click()
    expect(olive.locator("main")).to_contain_text("sign in", timeout=PATIENCE)
    olive.get_by_role("button", name=re.compile("Sign in again|Reconnect")).first.click()
    pass_google(olive, "tom@brightspark.example", other=True)
    expect(olive.locator("main")).to_contain_text("Nothing was changed")
    olive.goto(f"{demo.url}/settings")
    expect(olive.locator("main")).to_contain_text(OFFICE)
    expect(olive.locator("main")).not_to_contain_text("Connected: tom@")


# -- what people do --------------------------------------------------------------------------------


def at_work(browser: Browser, demo: Live, first: str, width: int) -> Iterator[Page]:
    context: BrowserContext = browser.new_context(viewport={"width": width, "height": 800})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    sign_in(page, demo, first)
    yield page
    # Left open until the browser ends: Chromium now and then never answers when a context with a
    # page that was opened by another page is closed, and that call knows no time-out.
    page.goto("about:blank")


def sign_in(page: Page, demo: Live, first: str) -> None:
    page.goto(f"{demo.url}/sign-in")
    page.get_by_label("E-mail address").fill(f"{first}@brightspark.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{demo.url}/")


def connect(demo: Live, page: Page) -> None:
    page.goto(f"{demo.url}/mailboxes/new")
    go_to_google(page)
    pass_google(page, OFFICE)
    expect(page.locator("main")).to_contain_text(f"Connected: {OFFICE}")


def go_to_google(page: Page) -> None:
    page.get_by_role("button", name="Continue to Google").click()


def pass_google(page: Page, account: str, *, untick: str = "", other: bool = False) -> None:
    """Account chooser, the unverified-app page, and consent."""
    chooser = page.get_by_role("heading", name="Choose an account")
    advanced = page.get_by_text("Advanced")
    chooser.or_(advanced).first.wait_for()
    if other and page.get_by_role("link", name="Use another account").count():
        page.get_by_role("link", name="Use another account").click()
    if chooser.count():
        page.get_by_role("button", name=re.compile(re.escape(account))).click()
    advanced.click()
    page.get_by_role("link", name=re.compile("Go to Sendwright")).or_(
        page.get_by_role("button", name=re.compile("Go to Sendwright"))
    ).click()
    if untick:
        page.get_by_label(re.compile(re.escape(untick))).uncheck()
    page.get_by_role("button", name="Continue").click()


def press_next(page: Page) -> None:
    """From the form that asks for an address to its walk-through."""
    page.locator("main form button[type=submit]").first.click()


def add_in_gmail(portal: Page, email: str) -> None:
    """Gmail's settings › Send mail as › Add another email address › Send Verification."""
    with portal.context.expect_page() as opened:
        portal.get_by_role("link", name="Open Gmail’s settings").click()
    gmail = opened.value
    gmail.get_by_role("link", name="Add another email address").click()
    gmail.get_by_label(re.compile("address", re.I)).last.fill(email)
    gmail.get_by_role("button", name=re.compile("Next Step")).click()
    gmail.get_by_role("button", name=re.compile("Send Verification")).click()


def confirmation_mail(demo: Live, portal: Page, email: str) -> Page:
    inbox = portal.context.new_page()
    inbox.goto(f"{demo.google.url}/mail/u/{email}/")
    inbox.get_by_text(re.compile("Confirmation - Send Mail as")).first.click()
    return inbox


def confirm_by_link(demo: Live, portal: Page, email: str) -> None:
    inbox = confirmation_mail(demo, portal, email)
    text = inbox.locator("main").inner_text()
    link = re.search(rf"{re.escape(demo.google.url)}\S+", text)
    assert link, text
    inbox.goto(link[0])
    inbox.get_by_role("button", name="Confirm").click()


def confirm_by_code(demo: Live, portal: Page, email: str) -> None:
    inbox = confirmation_mail(demo, portal, email)
    code = re.search(r"\b(\d{6,12})\b", inbox.locator("main").inner_text())
    assert code
    inbox.goto(f"{demo.google.url}/mail/u/{OFFICE}/settings/accounts")
    inbox.get_by_role("link", name=re.compile(f"verify.*{re.escape(email)}")).click()
    inbox.get_by_label(re.compile("code", re.I)).fill(code[1])
    inbox.get_by_role("button", name=re.compile("Verify")).click()


def send_one(demo: Live, page: Page) -> None:
    page.goto(f"{demo.url}/documents/9/dispatches/new")
    page.get_by_role("button", name=re.compile("^Send invoice INV-0042")).click()
    expect(page.locator("#dispatch")).to_contain_text("That is what was asked.", timeout=PATIENCE)


def row(page: Page, words: str) -> Locator:
    return page.locator("tr", has_text=words).first


def accepted(demo: Live) -> list[dict[str, Any]]:
    found = requests.get(f"{demo.google.url}/_sandbox/accepted", timeout=5).json()
    return list(found)
