"""Documents in a browser: sums, previews and cards that keep up by themselves."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from portal.columns import now
from portal.dispatch import Dispatch, State
from portal.documents import Document
from portal.extensions import db
from tests.factories import (
    MARY,
    PASSWORD,
    asked,
    contact,
    document,
    hill_st,
    office_mailbox,
    tom,
)
from tests.servers import serving

#: Words that reach past the right edge of a phone.
TOO_WIDE = """() => {
  const range = document.createRange(), found = [];
  const texts = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    range.selectNodeContents(texts.currentNode);
    if (texts.currentNode.parentElement.closest(".vh, .periods")) continue;  // rows to swipe
    if (range.getBoundingClientRect().right > 360) found.push(texts.currentNode.textContent);
  }
  return found;
}"""
pytestmark = pytest.mark.sqlite_only


@pytest.fixture
def portal(app: Flask) -> Iterator[str]:
    """The portal over HTTP with an invoice and a mailbox, but nobody who sends."""
    with app.app_context():
        office_mailbox()
        document(author=tom(), number="INV-0042")
        db.session.remove()
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener, serving(app, listener):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def trader(portal: str, page: Page) -> Page:
    """Tom, signed in."""
    page.set_default_timeout(10_000)
    page.goto(f"{portal}/sign-in")
    page.get_by_label("E-mail address").fill("tom@brightspark.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    return page


def test_the_sums_keep_up_and_a_slip_is_named(portal: str, trader: Page) -> None:
    trader.goto(f"{portal}/documents/invoice/new")
    totals = trader.locator("#totals")
    trader.locator("[name=lines-0-description]").fill("Tap")
    trader.locator("[name=lines-0-unit_price]").fill("1,127.27")
    expect(totals).to_contain_text("$1,240.00")
    expect(trader.locator("#net-0")).to_have_text("$1,127.27")
    trader.get_by_role("button", name="Add a line").click()
    price = trader.locator("[name=lines-1-unit_price]")
    price.fill("abc")
    expect(totals).to_contain_text("Line 2: “abc” is not an amount. Write it like 1240.00.")
    expect(price).to_have_value("abc")
    expect(price).to_be_focused()
    trader.get_by_role("button", name="Remove this line").nth(1).click()
    expect(totals).not_to_contain_text("Line 2")


def test_enter_saves_a_document_and_never_drops_a_line(portal: str, trader: Page) -> None:
    trader.goto(f"{portal}/documents/1/edit")
    trader.get_by_label("Title").fill("New tap")
    trader.get_by_label("Title").press("Enter")
    expect(trader.get_by_text("INV-0042 is saved.")).to_be_visible()
    trader.goto(f"{portal}/documents/1/edit")
    expect(trader.locator("[data-lines] tr")).to_have_count(2)


def test_a_new_customer_in_the_middle_of_an_invoice_costs_nothing(
    portal: str, trader: Page
) -> None:
    trader.goto(f"{portal}/documents/invoice/new")
    trader.get_by_label("Title").fill("Burst pipe")
    trader.locator("[name=lines-0-description]").fill("Copper pipe")
    trader.locator("[name=lines-0-unit_price]").fill("100")
    expect(trader.locator("#totals")).to_contain_text("$110.00")
    trader.wait_for_timeout(600)  # until it is kept on the phone
    trader.get_by_role("link", name="New customer").click()
    trader.get_by_label("First name").fill("Zoe")
    trader.get_by_label("Last name").fill("Brown")
    trader.get_by_role("button", name="Save contact").click()
    expect(trader.locator("#contact_id")).to_contain_text("Zoe Brown")
    expect(trader.get_by_label("Title")).to_have_value("Burst pipe")
    expect(trader.locator("#totals")).to_contain_text("$110.00")
    trader.get_by_role("button", name="Save invoice").click()
    expect(trader.get_by_role("link", name="Zoe Brown")).to_be_visible()


def test_a_new_customer_at_a_new_property_costs_nothing_either(portal: str, trader: Page) -> None:
    trader.goto(f"{portal}/documents/invoice/new")
    trader.get_by_label("Title").fill("Burst pipe")
    trader.get_by_role("link", name="New customer").click()
    trader.get_by_label("First name").fill("Zoe")
    trader.get_by_role("button", name="Save contact").click()
    trader.get_by_role("link", name="New property").click()
    expect(trader.locator("#customers [checked]")).to_have_count(1)
    trader.get_by_role("textbox", name="Name").fill("4 Dune Rd")
    trader.get_by_role("button", name="Save property").click()
    expect(trader.locator("#contact_id")).to_contain_text("Zoe")
    expect(trader.locator("#property_id")).to_contain_text("4 Dune Rd")
    expect(trader.get_by_label("Work done at")).to_have_value("4 Dune Rd")
    expect(trader.get_by_label("Title")).to_have_value("Burst pipe")
    expect(trader.get_by_text("You began to write")).to_have_count(0)
    trader.get_by_role("button", name="Save invoice").click()
    expect(trader.get_by_role("link", name="4 Dune Rd")).to_be_visible()


def test_a_new_customer_in_the_middle_of_a_property_costs_nothing(
    portal: str, trader: Page
) -> None:
    trader.goto(f"{portal}/properties/new")
    trader.get_by_role("textbox", name="Name").fill("4 Dune Rd")
    trader.get_by_label("Notes").fill("Beware of the dog")
    trader.get_by_label("Find the customer").press_sequentially("zebra")
    expect(trader.get_by_text("Nobody found.")).to_be_visible()
    trader.get_by_role("link", name="New customer").click()
    trader.get_by_label("First name").fill("Zoe")
    trader.get_by_role("button", name="Save contact").click()
    expect(trader.get_by_label("Notes")).to_have_value("Beware of the dog")
    trader.get_by_role("button", name="Save property").click()
    expect(trader.get_by_role("heading", name="4 Dune Rd")).to_be_visible()
    expect(trader.get_by_role("link", name="Zoe").first).to_be_visible()


def test_a_customer_chosen_for_a_property_comes_back_after_an_interruption(
    portal: str, trader: Page
) -> None:
    trader.goto(f"{portal}/properties/new")
    trader.get_by_role("textbox", name="Name").fill("4 Dune Rd")
    trader.get_by_label(re.compile("^Mary Lee")).check()
    trader.goto(f"{portal}/properties")
    trader.goto(f"{portal}/properties/new")
    trader.get_by_role("button", name="Bring it back").click()
    expect(trader.get_by_label(re.compile("^Mary Lee"))).to_be_checked()
    expect(trader.get_by_role("textbox", name="Name")).to_have_value("4 Dune Rd")


def test_a_customer_is_found_by_keyboard_and_comes_back_after_an_interruption(
    app: Flask, portal: str, trader: Page
) -> None:
    with app.app_context():
        hill_st(address="12 Hill St\nNewtown NSW 2042", account_manager=tom())
        for n in range(9):
            contact(business=f"Able {n}", email=f"able{n}@homes.example")
    trader.goto(f"{portal}/documents/invoice/new")
    trader.get_by_label("Title").fill("Burst pipe")
    search = trader.get_by_role("searchbox")
    search.press_sequentially("mary", delay=40)
    expect(trader.locator("#found-contact button")).to_have_count(1)
    expect(search).to_be_focused()
    search.press("Enter")
    change = trader.get_by_role("button", name="Change: Bill to")
    expect(change).to_be_focused()
    expect(trader.locator("#property_id")).to_contain_text("Account manager Tom Baker")
    site = trader.get_by_label("Work done at")
    expect(site).to_have_value("12 Hill St\nNewtown NSW 2042")
    trader.wait_for_timeout(800)  # until it is kept on the phone
    trader.goto(f"{portal}/documents/invoice")
    trader.goto(f"{portal}/documents/invoice/new")
    trader.get_by_role("button", name="Bring it back").click()
    expect(trader.locator("#contact_id")).to_contain_text(MARY)
    expect(trader.locator("#property_id")).to_contain_text("12 Hill St")
    expect(trader.get_by_label("Title")).to_have_value("Burst pipe")
    expect(site).to_have_value("12 Hill St\nNewtown NSW 2042")
    trader.get_by_role("button", name="Change: Property").click()
    trader.get_by_role("button", name="No property").click()
    expect(site).to_have_value("")


def test_who_receives_it_follows_what_is_typed(portal: str, trader: Page) -> None:
    trader.goto(f"{portal}/documents/1/dispatches/new")
    who = trader.locator("#who")
    expect(who).to_contain_text("Mary Lee, the contact on this invoice")
    trader.get_by_role("textbox", name="Cc").fill("bob@homes.example")
    trader.get_by_label("Subject").click()
    expect(who).to_contain_text("Copy bob@homes.example, written in by hand")
    expect(trader.get_by_role("textbox", name="Cc")).to_have_value("bob@homes.example")


def test_a_file_that_is_refused_is_seen_to_be_and_a_huge_one_leads_back(
    portal: str, trader: Page, tmp_path: Path
) -> None:
    trader.set_viewport_size({"width": 360, "height": 740})
    wrong, huge = tmp_path / "wrong.exe", tmp_path / "huge.pdf"
    wrong.write_bytes(b"MZ\x90\x00\xff")
    huge.write_bytes(b"%PDF-" + b"0" * 40 * 2**20)
    trader.goto(f"{portal}/documents/1")
    trader.locator("input[type=file]").set_input_files(wrong)
    trader.get_by_role("button", name="Attach").click()
    expect(trader.get_by_text("cannot be attached")).to_be_in_viewport()
    trader.locator("input[type=file]").set_input_files(huge)
    trader.get_by_role("button", name="Attach").click()
    trader.get_by_role("link", name="Back to the document").click()
    expect(trader.get_by_role("button", name="Attach")).to_be_in_viewport()


def test_links_beside_a_mail_are_big_enough_for_a_thumb(
    app: Flask, portal: str, trader: Page
) -> None:
    with app.app_context():
        asked(db.session.get_one(Document, 1), tom())
    send_page = f"{portal}/documents/1/dispatches/new"
    links = {
        "Look at it": send_page,
        "Add photos or files": send_page,
        "Look at sending 1": f"{portal}/documents/1",
    }
    for width in (360, 1280):
        trader.set_viewport_size({"width": width, "height": 740})
        for words, address in links.items():
            trader.goto(address)
            box = trader.get_by_role("link", name=words).bounding_box()
            assert box and box["height"] >= 44, (words, width)


def test_a_mail_whose_reader_was_signed_out_says_so_in_its_frame(portal: str, trader: Page) -> None:
    trader.goto(f"{portal}/documents/1/dispatches/new")
    trader.context.clear_cookies()
    trader.get_by_role("button", name="Refresh").click()
    frame = trader.frame_locator("iframe[name=mail]")
    expect(frame.get_by_role("heading", name="Sign in again")).to_be_visible()


def test_very_long_words_stay_on_a_phone(app: Flask, portal: str, trader: Page) -> None:
    with app.app_context():
        one = db.session.get_one(Document, 1)
        one.title = one.contact.name = "Donaudampfschifffahrtselektrizitaetenhauptbetriebswerk"
        paths = ["/", "/documents/invoice", "/documents/1", f"/contacts/{one.contact_id}/edit"]
        db.session.commit()
    trader.set_viewport_size({"width": 360, "height": 740})
    for path in paths:
        trader.goto(f"{portal}{path}")
        assert trader.evaluate(TOO_WIDE) == [], path


def test_the_preview_follows_the_message_and_the_way_back_stays_short(
    portal: str, trader: Page
) -> None:
    trader.goto(f"{portal}/documents/1/dispatches/new")
    steps = trader.evaluate("history.length")
    for words in ("Hello <b>Mary</b>", "Your new tap is in."):
        trader.get_by_label("Message").fill(words)
        expect(trader.frame_locator(".mail iframe").get_by_text(words)).to_be_visible()
    expect(trader.locator(".mail iframe")).to_have_count(1)
    assert trader.evaluate("history.length") == steps
    trader.get_by_label("PDF", exact=True).check()
    expect(trader.locator(".mail iframe")).to_be_hidden()
    expect(trader.locator(".pdf .paper")).to_be_visible()


def test_a_test_leaves_what_is_typed_where_it_is(app: Flask, portal: str, trader: Page) -> None:
    trader.goto(f"{portal}/documents/1/dispatches/new")
    trader.get_by_label("To", exact=True).fill("half an addr")
    button = trader.get_by_role("button", name="Send a test to myself")
    button.click()
    expect(trader.locator("#test .notice")).to_contain_text("The test")
    expect(trader.get_by_label("To", exact=True)).to_have_value("half an addr")
    expect(button).to_be_focused()
    trader.get_by_label("To", exact=True).press("Enter")
    expect(trader).to_have_url(re.compile("/dispatches/new$"))
    with app.app_context():
        assert db.session.query(Dispatch).count() == 1


def test_the_card_follows_its_sending_and_then_rests(app: Flask, portal: str, trader: Page) -> None:
    with app.app_context():
        number = asked(db.session.get_one(Document, 1)).id
    looks: list[str] = []
    trader.on("request", lambda one: looks.append(one.url) if "/dispatches/" in one.url else None)
    trader.goto(f"{portal}/dispatches/{number}")
    outcome = trader.locator(".outcome [role=status]")
    expect(outcome).to_contain_text("In queue")
    trader.get_by_text("Technical details").click()
    with app.app_context():
        one = db.session.get_one(Dispatch, number)
        one.state, one.state_note = State.REFUSED, "Gmail refused it."
        one.state_since = now()
        db.session.commit()
    expect(outcome).to_contain_text("Could not send")
    expect(trader).to_have_title("INV-0042: Could not send – Bright Spark Plumbing")
    expect(trader.locator("details.technical")).to_have_attribute("open", "")
    seen = len(looks)
    trader.wait_for_timeout(2500)
    assert len(looks) == seen


def test_no_connection_and_a_lost_sign_in_lose_nothing_that_was_typed(
    portal: str, trader: Page
) -> None:
    trader.goto(f"{portal}/documents/1/dispatches/new")
    press = trader.get_by_role("button", name="Send invoice INV-0042")
    trader.context.set_offline(True)
    press.click()
    expect(trader.locator("#status")).to_contain_text("No connection. Nothing was sent")
    trader.context.set_offline(False)
    trader.get_by_label("Message").fill("The tap is in.")
    trader.wait_for_timeout(600)  # until it is kept on the phone
    trader.context.clear_cookies()
    press.click()
    trader.get_by_label("E-mail address").fill("tom@brightspark.example")
    trader.get_by_label("Password").fill(PASSWORD)
    trader.get_by_role("button", name="Sign in").click()
    trader.get_by_role("button", name="Bring it back").click()
    expect(trader.get_by_label("Message")).to_have_value("The tap is in.")
    trader.context.clear_cookies()
    trader.get_by_role("button", name="Send a test to myself").click()
    expect(trader).to_have_url(re.compile("/sign-in"))
