"""The send page: the From line first, nothing typed is lost, and one press is one mail."""

from datetime import timedelta
from typing import Any

import pytest
from bs4 import BeautifulSoup
from flask import Flask
from sqlalchemy import select

from portal import policy
from portal.columns import now
from portal.dispatch import Dispatch, Purpose, State
from portal.documents import Document
from portal.documents.mail import MailWording
from portal.extensions import db
from portal.places import PropertyContact
from portal.senders import Mode
from tests.factories import (
    MARY,
    asked,
    contact,
    document,
    hill_st,
    mary,
    nia,
    office_mailbox,
    olive,
    tom,
)
from tests.visitor import Visitor, said, visitor

BOB = "bob@homes.example"


@pytest.fixture
def trader(app: Flask) -> Visitor:
    return visitor(app, tom)


@pytest.fixture
def invoice(app: Flask) -> int:
    """INV-0042 to Mary Lee for $1,240.00, and the company's mailbox."""
    with app.app_context():
        office_mailbox()
        return document(number="INV-0042").id


def send_page(who: Visitor, number: int) -> BeautifulSoup:
    return BeautifulSoup(who.get(f"/documents/{number}/dispatches/new").text, "html.parser")


def filled_in(page: BeautifulSoup, **typed: Any) -> dict[str, Any]:
    """What a browser sends when somebody presses the button of this page."""
    form = {
        str(one["name"]): one.get("value", "")
        for one in page.select("#send input")
        if one.get("type") != "checkbox"
    }
    body = page.select_one("#send textarea")
    assert body
    return form | {"body": body.text.strip()} | typed


def press(who: Visitor, number: int, /, **typed: Any) -> Any:
    form = filled_in(send_page(who, number), **typed)
    return who.post(f"/documents/{number}/dispatches", form)


def dispatches(app: Flask) -> list[Dispatch]:
    with app.app_context():
        return list(db.session.scalars(select(Dispatch).order_by(Dispatch.id)).unique())


def specify(app: Flask, mode: Mode, address: str = "") -> None:
    with app.app_context():
        policy.set_rule(policy.EVERY_KIND, mode, address)


def test_pressing_send_freezes_what_was_seen_and_leads_to_it(
    app: Flask, trader: Visitor, invoice: int
) -> None:
    page = send_page(trader, invoice)
    button = page.select_one(".actionbar button")
    assert button and button.text == "Send invoice INV-0042 ($1,240.00) to Mary Lee"
    answer = trader.post(
        f"/documents/{invoice}/dispatches", filled_in(page, cc="bob@homes.example")
    )
    (one,) = dispatches(app)
    assert answer.status_code == 303 and answer.location == f"/dispatches/{one.id}"
    assert (one.to, one.cc, one.state) == ([MARY], [BOB], State.QUEUED)
    assert one.subject == "Invoice INV-0042 from Bright Spark Plumbing"
    assert "Tom Baker" in one.body and one.from_email == "office@brightspark.example"


@pytest.mark.sqlite_only
def test_who_it_comes_from_stands_first_with_its_reason_and_proof(
    app: Flask, trader: Visitor, invoice: int
) -> None:
    specify(app, Mode.USER)
    page = send_page(trader, invoice)
    hero = page.select_one("main .from")
    assert hero
    words = " ".join(hero.get_text(" ").split())
    assert "From Tom Baker at Bright Spark Plumbing tom@ brightspark.example" in words
    assert "Company rule: every document comes from whoever presses Send. That is Tom" in words
    assert "Verified with Gmail" in words
    assert str(page.main).index('class="from') < str(page.main).index('id="send"')


@pytest.mark.sqlite_only
def test_a_manager_is_one_press_from_the_rule_that_chose(app: Flask, invoice: int) -> None:
    def change(who: Visitor) -> list[str]:
        return [str(one["href"]) for one in send_page(who, invoice).select(".from .why a")]

    manager = visitor(app, olive)
    assert change(manager) == ["/settings/send-from"]
    with app.app_context():
        policy.set_rule("invoice", Mode.USER)
    assert change(manager) == ["/settings/send-from/invoice"]
    assert change(visitor(app, tom)) == []


@pytest.mark.sqlite_only
def test_an_address_nobody_verified_waits_and_says_so(app: Flask, invoice: int) -> None:
    specify(app, Mode.USER)
    who = visitor(app, nia)
    page = send_page(who, invoice)
    words = " ".join(page.get_text(" ").split())
    assert "No connected mailbox may send as nia@brightspark.example yet." in words
    assert "It never leaves from another address." in words
    fix = page.select_one(".from a.btn")
    assert fix and fix["href"] == "/profile"
    who.post(f"/documents/{invoice}/dispatches", filled_in(page))
    (one,) = dispatches(app)
    assert (one.state, one.from_email) == (State.HELD, "nia@brightspark.example")


@pytest.mark.sqlite_only
def test_without_a_mailbox_there_is_nothing_to_press(app: Flask) -> None:
    with app.app_context():
        number = document().id
    staff, manager = visitor(app, tom), visitor(app, olive)
    page = send_page(staff, number)
    assert not page.select(".actionbar button")
    assert "No company mailbox is connected yet. Ask Olive Park." in " ".join(
        page.select(".actionbar")[0].get_text(" ").split()
    )
    fix = send_page(manager, number).select_one(".actionbar a")
    assert fix and fix["href"] == "/settings"
    refused = press(staff, number)
    assert refused.status_code == 422 and dispatches(app) == []


@pytest.mark.sqlite_only
def test_an_invoice_without_lines_leads_to_its_lines(app: Flask, trader: Visitor) -> None:
    with app.app_context():
        office_mailbox()
        number = document(lines=()).id
    page = send_page(trader, number)
    (bar,) = page.select(".actionbar")
    assert "has no lines, so there is nothing to charge for." in bar.text
    assert not bar.select("button")
    assert [one["href"] for one in bar.select("a")] == [f"/documents/{number}/edit"]
    assert press(trader, number).status_code == 422
    assert dispatches(app) == []


@pytest.mark.sqlite_only
def test_bad_input_keeps_what_was_typed_and_sends_nothing(
    app: Flask, trader: Visitor, invoice: int
) -> None:
    bad = {
        "to": {
            "": "Write who it goes to.",
            "mary.lee": "“mary.lee” is not an e-mail address: it has no @",
            "m@homes.example\r\nBcc: eve@spam.example": "“Bcc: eve@spam.example” is not an e-mail",
            ",".join(f"a{n}@homes.example" for n in range(101)): "It would go to 101",
        },
        "cc": {"eve": "“eve” is not an e-mail address"},
        "subject": {
            "": "Write a subject.",
            "Hello\r\nBcc: eve@spam.example": "Subject must be a single line.",
            "x" * 201: "Subject is 1 characters too long; the most is 200.",
        },
        "body": {"": "Write a message.", "x" * 30_001: "Message is 1 characters too long"},
    }
    for name, cases in bad.items():
        for typed, sentence in cases.items():
            kept = {"subject": "Mine", "body": "My words"} | {name: typed}
            answer = press(trader, invoice, **kept)
            assert answer.status_code == 422, typed
            page = BeautifulSoup(answer.text, "html.parser")
            beside = page.find(id=f"{name}-error")
            assert beside and sentence in beside.get_text(" "), typed
            again = filled_in(page)
            assert all(str(again[one]).split() == kept[one].split() for one in kept)
    assert dispatches(app) == []


@pytest.mark.sqlite_only
def test_a_contact_without_an_address_is_said_and_can_be_mended_here(
    app: Flask, trader: Visitor
) -> None:
    with app.app_context():
        office_mailbox()
        number = document(contact=mary(email="")).id
    page = send_page(trader, number)
    assert "Mary Lee has no e-mail address. Write an address in To" in page.text
    fix = page.select_one("#send .notice a")
    assert fix and str(fix["href"]).startswith("/contacts/1/edit?next=/documents/")
    assert press(trader, number, to=MARY).status_code == 303


def test_a_double_press_is_one_mail(app: Flask, trader: Visitor, invoice: int) -> None:
    form = filled_in(send_page(trader, invoice))
    first = trader.post(f"/documents/{invoice}/dispatches", form)
    second = trader.post(f"/documents/{invoice}/dispatches", form)
    assert first.location == second.location
    assert len(dispatches(app)) == 1
    assert "Nothing more was sent" not in trader.words(second.location)


@pytest.mark.sqlite_only
def test_a_colleague_who_pressed_first_is_named(app: Flask, trader: Visitor, invoice: int) -> None:
    mine = filled_in(send_page(trader, invoice))
    manager = visitor(app, olive)
    theirs = press(manager, invoice).location
    answer = trader.post(f"/documents/{invoice}/dispatches", mine)
    assert answer.location == theirs
    words = trader.words(answer.location)
    assert "Olive Park sent it at" in words and "Nothing more was sent." in words
    assert len(dispatches(app)) == 1


def test_sending_again_is_a_deliberate_deed(app: Flask, trader: Visitor, invoice: int) -> None:
    press(trader, invoice)
    page = send_page(trader, invoice)
    assert "This is on its way already: in queue." in page.text
    refused = trader.post(f"/documents/{invoice}/dispatches", filled_in(page, subject="Mine"))
    assert refused.status_code == 422
    assert "Tick this if it should really be sent again." in said(refused)
    assert "Choose why it is sent again." in said(refused)
    page = BeautifulSoup(refused.text, "html.parser")
    without_words = filled_in(page, again="y", why="other")
    refused = trader.post(f"/documents/{invoice}/dispatches", without_words)
    assert "Write why it is sent again." in said(refused)
    again = filled_in(page, again="y", why="other", words="Mary has a new phone.")
    assert again["subject"] == "Mine"
    assert trader.post(f"/documents/{invoice}/dispatches", again).status_code == 303
    first, second = dispatches(app)
    assert [first.sending_number, second.sending_number] == [1, 2]
    assert (second.resend_of_id, second.resend_reason) == (first.id, "Mary has a new phone.")
    assert "Why: Mary has a new phone." in trader.words(f"/dispatches/{first.id}")
    assert "Asked for once more, after sending 1" in trader.words(f"/dispatches/{second.id}")
    assert "Sent again because: Mary has a new phone." in trader.words(f"/documents/{invoice}")


@pytest.mark.sqlite_only
def test_a_fresh_one_after_what_did_not_leave_has_its_reason_already(
    app: Flask, trader: Visitor, invoice: int
) -> None:
    press(trader, invoice)
    with app.app_context():
        db.session.execute(db.update(Dispatch).values(state=State.CANCELLED))
        db.session.commit()
    answer = trader.get(f"/documents/{invoice}/dispatches/new?after=1")
    page = BeautifulSoup(answer.text, "html.parser")
    assert "This was sent before" in said(answer) and page.find(id="again") is None
    chosen = page.select_one("input[name=why][checked]")
    assert chosen and chosen["value"] == "not_left" and chosen["form"] == "send"
    form = filled_in(page, why="not_left")
    assert trader.post(f"/documents/{invoice}/dispatches", form).status_code == 303
    again = dispatches(app)[-1]
    assert (again.resend_of_id, again.resend_reason) == (1, "The first one did not leave.")
    for other in ("9", "x"):  # of no sending of this document: as if nothing had been named
        page = trader.get(f"/documents/{invoice}/dispatches/new?after={other}")
        assert "This is on its way already" in said(page)


@pytest.mark.sqlite_only
def test_after_a_refusal_nobody_is_asked_twice(app: Flask, trader: Visitor, invoice: int) -> None:
    press(trader, invoice)
    with app.app_context():
        db.session.execute(db.update(Dispatch).values(state=State.REFUSED))
        db.session.commit()
    assert press(trader, invoice).status_code == 303
    assert len(dispatches(app)) == 2


@pytest.mark.sqlite_only
def test_what_changed_since_the_page_was_opened_is_looked_at_first(
    app: Flask, trader: Visitor, invoice: int
) -> None:
    form = filled_in(send_page(trader, invoice), body="My words")
    with app.app_context():
        one = db.session.get_one(Document, invoice)
        one.version += 1
        db.session.commit()
    specify(app, Mode.SPECIFIED, "tom@brightspark.example")
    answer = trader.post(f"/documents/{invoice}/dispatches", form)
    assert answer.status_code == 422 and dispatches(app) == []
    words = said(answer)
    assert "INV-0042 was changed at" in words
    assert "It now comes from tom@brightspark.example, not from office@brightspark.exam" in words
    seen = filled_in(BeautifulSoup(answer.text, "html.parser"))
    assert seen["body"] == "My words"
    assert trader.post(f"/documents/{invoice}/dispatches", seen).status_code == 303


@pytest.mark.sqlite_only
def test_a_form_without_its_numbers_sends_nothing(
    app: Flask, trader: Visitor, invoice: int
) -> None:
    for number in ("", "0", "-1", "7", "x", "9" * 30):
        assert press(trader, invoice, number=number).status_code == 422
    assert dispatches(app) == []


# Who receives it, and why


@pytest.fixture
def hill_street(app: Flask) -> int:
    """INV-0042 for 12 Hill St, where Bob answers for bills and Mary gets a copy."""
    with app.app_context():
        office_mailbox()
        where = hill_st()
        bob = contact(first_name="Bob", last_name="Lee", email=BOB)
        where.contacts[0].billing = False
        where.contacts.append(PropertyContact(contact=bob, billing=True, email_invoice=True))
        db.session.commit()
        return document(number="INV-0042", site=where).id


def receivers(page: BeautifulSoup) -> list[str]:
    return [" ".join(one.get_text(" ").split()) for one in page.select("#who li")]


@pytest.mark.sqlite_only
def test_the_page_says_who_receives_it_and_why_and_the_sending_keeps_it(
    app: Flask, trader: Visitor, hill_street: int
) -> None:
    page = send_page(trader, hill_street)
    filled = filled_in(page)
    assert (filled["to"], filled["cc"]) == (BOB, MARY)
    assert receivers(page) == [
        "To Bob Lee , marked Billing and Email Invoice at 12 Hill St",
        "Copy Mary Lee , marked Email Invoice at 12 Hill St",
    ]
    sent = trader.post(f"/documents/{hill_street}/dispatches", filled)
    (one,) = dispatches(app)
    assert one.recipients_why[BOB] == "Bob Lee, marked Billing and Email Invoice at 12 Hill St"
    assert b"Bob Lee <bob@homes.example>" in trader.get(f"{sent.location}/message.eml").data
    with app.app_context():
        hill_st().contacts[1].billing = False
        db.session.commit()
    assert "Bob Lee, marked Billing and Email Invoice at 12 Hill St" in trader.words(sent.location)


@pytest.mark.sqlite_only
def test_other_recipients_by_hand_are_said_to_depart_from_the_property(
    app: Flask, trader: Visitor, hill_street: int
) -> None:
    typed = filled_in(send_page(trader, hill_street), to="eve@homes.example", cc="", body="Mine")
    part = trader.post(f"/documents/{hill_street}/dispatches/new", typed, htmx=True)
    assert part.text.strip().startswith('<div id="who"')
    page = BeautifulSoup(part.text.replace("<wbr>", ""), "html.parser")
    assert receivers(page) == [
        "To eve@homes.example , written in by hand",
        "Not this time Bob Lee , marked Billing and Email Invoice at 12 Hill St",
        "Not this time Mary Lee , marked Email Invoice at 12 Hill St",
    ]
    assert "This time it goes to others than the contacts of 12 Hill St." in said(part)
    whole = trader.post(f"/documents/{hill_street}/dispatches/new", typed)
    assert filled_in(BeautifulSoup(whole.text, "html.parser"))["body"] == "Mine"
    assert dispatches(app) == []
    trader.post(f"/documents/{hill_street}/dispatches", typed)
    assert dispatches(app)[0].recipients_why == {"eve@homes.example": "written in by hand"}


@pytest.mark.sqlite_only
def test_more_recipients_than_one_mail_may_have_are_said_at_to_and_sent_to_nobody(
    app: Flask, trader: Visitor, hill_street: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_alone = app.config["PORTAL"].model_copy(update={"GMAIL_RECIPIENTS_MESSAGE": 1})
    monkeypatch.setitem(app.config, "PORTAL", one_alone)
    words = "It would go to 2 addresses at once; one e-mail may go to 1. Take some out of To or Cc."
    page = send_page(trader, hill_street)
    assert words in page.select_one("#who .notice").text  # type: ignore[union-attr]
    refused = press(trader, hill_street, subject="As typed")
    typed = filled_in(BeautifulSoup(refused.text, "html.parser"))
    assert (refused.status_code, typed["cc"], typed["subject"]) == (422, MARY, "As typed")
    assert said(refused).count(words) == 2  # at the top, and at the field
    assert dispatches(app) == []
    assert press(trader, hill_street, cc="").status_code == 303


@pytest.mark.sqlite_only
def test_a_property_without_a_billing_contact_leads_to_its_contacts(
    app: Flask, trader: Visitor
) -> None:
    with app.app_context():
        office_mailbox()
        where = hill_st()
        where.contacts[0].email_invoice = False
        db.session.commit()
        number, place = document(site=where).id, where.id
    page = send_page(trader, number)
    assert filled_in(page)["to"] == ""
    (notice,) = page.select("#who .notice")
    assert "No contact of 12 Hill St is marked Email Invoice." in notice.text
    assert [one["href"] for one in notice.select("a")] == [f"/properties/{place}"]
    assert press(trader, number, to=MARY).status_code == 303


@pytest.mark.sqlite_only
def test_a_copy_that_cannot_be_sent_is_told_and_keeps_nobody_waiting(
    app: Flask, trader: Visitor, hill_street: int
) -> None:
    with app.app_context():
        mary().email = ""
        db.session.commit()
    (notice,) = send_page(trader, hill_street).select("#who .notice")
    assert "Mary Lee has no e-mail address. It goes to the others without them." in notice.text
    assert press(trader, hill_street).status_code == 303
    assert dispatches(app)[0].to == [BOB]


@pytest.mark.sqlite_only
@pytest.mark.parametrize("left", [False, True], ids=["none", "left"])
def test_without_an_account_manager_the_property_is_the_way_out(app: Flask, left: bool) -> None:
    specify(app, Mode.ACCOUNT_MANAGER)
    with app.app_context():
        office_mailbox()
        where = hill_st(account_manager=nia() if left else None)
        nia().active = False
        db.session.commit()
        number, place = document(site=where).id, where.id
    page = send_page(visitor(app, tom), number)
    (bar,) = page.select(".actionbar")
    problem = "Nia Cole, the account manager of" if left else "12 Hill St has no account manager."
    assert problem in bar.text and not bar.select("button")
    assert [one["href"] for one in bar.select("a")] == [f"/properties/{place}"]


@pytest.mark.sqlite_only
def test_without_a_property_an_account_manager_is_found_by_choosing_one(
    app: Flask, trader: Visitor, invoice: int
) -> None:
    specify(app, Mode.ACCOUNT_MANAGER)
    (bar,) = send_page(trader, invoice).select(".actionbar")
    assert "This document has no property, so no account manager." in bar.text
    assert [one["href"] for one in bar.select("a")] == [f"/documents/{invoice}/edit"]


# Another sender for this once

TOM_ONCE = "specified:tom@brightspark.example"


@pytest.mark.sqlite_only
def test_a_manager_sends_one_document_from_another_address(app: Flask, invoice: int) -> None:
    who = visitor(app, olive)
    page = send_page(who, invoice)
    offered = [str(one["value"]) for one in page.select("[name=once]")]
    assert offered[0] == "" and TOM_ONCE in offered
    typed = filled_in(page, body="My words", once=TOM_ONCE)
    looked = who.post(f"/documents/{invoice}/dispatches/new", typed)
    again = BeautifulSoup(looked.text, "html.parser")
    reason = "Chosen for this sending by Olive Park: it comes from tom@brightspark.example."
    hero = again.select_one("main .from")
    assert hero and reason in hero.text
    assert filled_in(again)["body"] == "My words" and dispatches(app) == []
    refused = who.post(
        f"/documents/{invoice}/dispatches", filled_in(again, to="half", once=TOM_ONCE)
    )
    assert refused.status_code == 422 and reason in said(refused)
    fine = filled_in(again, once=TOM_ONCE)
    assert who.post(f"/documents/{invoice}/dispatches", fine).status_code == 303
    (one,) = dispatches(app)
    assert one.from_email == "tom@brightspark.example"
    assert one.reason.startswith(f"{reason} Tom Baker agreed that mail leaves under")
    assert policy_says(app, invoice) == "office@brightspark.example"  # the next one goes as ever


def policy_says(app: Flask, number: int) -> str:
    with app.app_context():
        choice = policy.sender_of(db.session.get_one(Document, number), olive())
        return choice.sender.email if choice.sender else ""


@pytest.mark.sqlite_only
def test_a_sender_that_was_chosen_but_not_looked_at_sends_nothing(app: Flask, invoice: int) -> None:
    who = visitor(app, olive)
    answer = press(who, invoice, once=TOM_ONCE)
    assert answer.status_code == 422 and dispatches(app) == []
    words = "It now comes from tom@brightspark.example, not from office@brightspark.example."
    assert words in said(answer)


@pytest.mark.sqlite_only
def test_who_may_not_choose_is_offered_nothing_and_gets_the_usual_sender(
    app: Flask, trader: Visitor, invoice: int
) -> None:
    page = send_page(trader, invoice)
    assert not page.select("[name=once]")
    for once in (TOM_ONCE, "user"):
        answer = trader.post(f"/documents/{invoice}/dispatches", filled_in(page, once=once))
        assert answer.status_code == 422
        assert "Only the office manager may choose another address" in said(answer)
        hero = BeautifulSoup(answer.text, "html.parser").select_one("main .from")
        assert hero and "office@" in hero.text
    manager = visitor(app, olive)
    stranger = press(manager, invoice, once="specified:eve@elsewhere.example")
    assert "That address can no longer be chosen" in said(stranger)
    assert dispatches(app) == []


# Tests to oneself


def test_a_test_goes_to_oneself_and_changes_nothing(
    app: Flask, trader: Visitor, invoice: int
) -> None:
    typed = filled_in(send_page(trader, invoice), to="half an addr", subject="Mine", body="Words")
    answer = trader.post(f"/documents/{invoice}/tests", typed)
    assert answer.status_code == 200
    again = filled_in(BeautifulSoup(answer.text, "html.parser"))
    assert (again["to"], again["subject"], again["body"]) == ("half an addr", "Mine", "Words")
    assert again["number"] == "1" and again["test_number"] == "2"
    (one,) = dispatches(app)
    assert (one.purpose, one.to, one.cc) == (Purpose.TEST, ["tom@brightspark.example"], [])
    assert one.subject == "[Test] Mine"
    assert "Pending" in trader.words("/documents/invoice")
    assert press(trader, invoice).status_code == 303


@pytest.mark.sqlite_only
def test_a_test_answers_htmx_with_its_part_alone(app: Flask, trader: Visitor, invoice: int) -> None:
    typed = filled_in(send_page(trader, invoice))
    part = trader.post(f"/documents/{invoice}/tests", typed, htmx=True)
    assert "<html" not in part.text and part.text.strip().startswith('<div id="test"')
    assert "The test" in said(part)
    wrong = trader.post(f"/documents/{invoice}/tests", typed | {"subject": ""}, htmx=True)
    assert wrong.status_code == 422
    assert "The test is not sent Write a subject." in said(wrong)
    assert len(dispatches(app)) == 1


@pytest.mark.sqlite_only
def test_two_people_test_the_same_document_and_each_gets_theirs(
    app: Flask, trader: Visitor, invoice: int
) -> None:
    manager = visitor(app, olive)
    mine = filled_in(send_page(trader, invoice))
    theirs = filled_in(send_page(manager, invoice))
    for _ in range(2):
        trader.post(f"/documents/{invoice}/tests", mine)
    manager.post(f"/documents/{invoice}/tests", theirs)
    found = [one.to[0].split("@")[0] for one in dispatches(app)]
    assert found == ["tom", "olive"]


# The preview


@pytest.mark.sqlite_only
def test_the_mail_is_shown_alone_with_its_own_rules(
    app: Flask, trader: Visitor, invoice: int
) -> None:
    address = f"/documents/{invoice}/mail"
    shown = trader.get(address)
    assert "Invoice INV-0042 for $1,240.00 is attached" in said(shown)
    assert shown.headers["Content-Security-Policy"].endswith("; sandbox")
    assert "script-src" not in shown.headers["Content-Security-Policy"]
    typed = trader.post(address, {"body": "Hello <script>alert(1)</script>"})
    assert "Hello &lt;script&gt;" in typed.text
    frame = send_page(trader, invoice).select_one("iframe[name=mail]")
    assert frame and frame.has_attr("sandbox") and not frame["sandbox"] and frame["src"] == address
    assert dispatches(app) == []


@pytest.mark.sqlite_only
def test_who_was_signed_out_meanwhile_reads_so_in_the_frame(app: Flask, invoice: int) -> None:
    stranger, address = app.test_client(), f"/documents/{invoice}/mail"
    for ask in (stranger.get, stranger.post):
        framed = ask(address, headers={"Sec-Fetch-Dest": "iframe"})
        assert framed.status_code == 401 and "Sign in again" in said(framed)
        assert "frame-ancestors 'self'" in framed.headers["Content-Security-Policy"]
        assert "$1,240.00" not in framed.text
        assert "/sign-in" in ask(address).location  # opened by itself, it is a page like any other


@pytest.mark.sqlite_only
def test_a_broken_wording_never_keeps_an_invoice_from_being_sent(
    app: Flask, trader: Visitor, invoice: int
) -> None:
    with app.app_context():
        db.session.add(MailWording(kind="invoice", subject="{{ nothing }}", body="{% if %}"))
        db.session.commit()
    page = send_page(trader, invoice)
    assert filled_in(page)["subject"] == "Invoice INV-0042 from Bright Spark Plumbing"


@pytest.mark.sqlite_only
def test_every_kind_can_be_sent_and_tested(app: Flask, trader: Visitor) -> None:
    with app.app_context():
        office_mailbox()
        person = mary()
        kinds = ("invoice", "quote", "purchase_order", "job", "enquiry")
        numbers = [document(kind, contact=person).id for kind in kinds]
    for number in numbers:
        typed = filled_in(send_page(trader, number))
        assert trader.post(f"/documents/{number}/tests", typed).status_code == 200
        assert trader.post(f"/documents/{number}/dispatches", typed).status_code == 303
    assert len(dispatches(app)) == 10
    assert len({one.subject for one in dispatches(app)}) == 10


def test_where_the_day_is_full_the_page_says_when_it_leaves(
    app: Flask, trader: Visitor, invoice: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "in 24 hours" not in send_page(trader, invoice).text
    tight = {"GMAIL_DAILY_CONSUMER": 1, "GMAIL_RECIPIENTS_CONSUMER": 1}
    monkeypatch.setitem(app.config, "PORTAL", app.config["PORTAL"].model_copy(update=tight))
    with app.app_context():
        earlier = asked(document())
        earlier.state, earlier.accepted_at = State.ACCEPTED, now() - timedelta(hours=23)
        db.session.commit()
    page = send_page(trader, invoice).text
    assert "It leaves by itself: " in page
    assert "that its provider allows in 24 hours" in page
    assert "Connect another mailbox" not in page
