"""The whole story, as people live it, in a real browser against a whole running Sendwright."""

import re

import requests
from playwright.sync_api import Locator, Page, expect

from tests.browser.steps import (
    PATIENCE,
    accepted,
    connect_google,
    go_to_google,
    pass_google,
)
from tests.factories import ACCOUNTS, OFFICE
from tests.servers import Live


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
    connect_google(demo, olive)
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
    connect_google(demo, olive)
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


def row(page: Page, words: str) -> Locator:
    return page.locator("tr", has_text=words).first
