"""Contacts are found, written and kept apart; nobody overwrites what they have not seen."""

import pytest
from bs4 import BeautifulSoup
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from portal import contacts
from portal.contacts import keep
from portal.extensions import db
from portal.people import BadAddress, Contact, addresses_in, contact_with
from portal.places import Property, PropertyContact
from tests.factories import MARY, copper, document, mary, nia, olive
from tests.visitor import Visitor, said, visitor


@pytest.fixture
def trader(app: Flask) -> Visitor:
    return visitor(app, nia)


@pytest.fixture
def manager(app: Flask) -> Visitor:
    return visitor(app, olive)


def stored(app: Flask) -> list[Contact]:
    with app.app_context():
        return list(db.session.scalars(select(Contact).order_by(Contact.id)))


def form(**changed: str) -> dict[str, str]:
    """What a person fills in for Mary; active="" leaves the tick away."""
    typed = {"type": "customer", "first_name": "Mary", "last_name": "Lee", "email": MARY}
    typed |= {"business": "", "phone": "", "address": "", "notes": "", "active": "y"} | changed
    return {name: value for name, value in typed.items() if name != "active" or value}


def soup(answer: TestResponse) -> BeautifulSoup:
    return BeautifulSoup(answer.text, "html.parser")


def value(answer: TestResponse, name: str) -> str:
    found = soup(answer).select_one(f"[name={name}]")
    assert found is not None
    return str(found.get("value", found.text))


# Writing


def test_a_contact_is_written_and_changed(app: Flask, trader: Visitor) -> None:
    typed = form(email="Mary.Lee@HOMES.example", address="12 Hill St\r\nNewtown")
    assert trader.post("/contacts", typed).location == "/contacts/1"
    (one,) = stored(app)
    assert (one.email, one.address) == ("Mary.Lee@homes.example", "12 Hill St\nNewtown")
    page = trader.words("/contacts/1")
    assert "Mary Lee is saved." in page and "Added." in page and "Nia Cole" in page
    changed = form(business="Lee Trust", type="prospect", phone="0491 570 006", version="1")
    assert trader.post("/contacts/1", changed).status_code == 303
    (one,) = stored(app)
    assert (one.name, one.attention, one.type) == ("Lee Trust", "Mary Lee", "prospect")
    assert "Type: Customer → Prospect." in trader.words("/contacts/1")


@pytest.mark.sqlite_only
def test_bad_input_keeps_what_was_typed_and_stores_nothing(app: Flask, trader: Visitor) -> None:
    bad = {
        "business": {"Lee\nTrust": "Business must be a single line."},
        "email": {
            "mary.lee": "“mary.lee” is not an e-mail address: it has no @",
            "mary lee@homes.example": "is not an e-mail address: it has a space in it",
            "mary@homes.example\r\nBcc: eve@spam.example": "The address has a line break in it.",
            "mаry@homes.example": "“а” cannot stand in it",
        },
        "phone": {"9" * 61: "Phone is 1 characters too long; the most is 60."},
    }
    for name, cases in bad.items():
        for typed, sentence in cases.items():
            answer = trader.post("/contacts", form(**{name: typed, "notes": "Rings first."}))
            assert answer.status_code == 422, typed
            beside = soup(answer).find(id=f"{name}-error")
            assert beside and sentence in beside.get_text(" "), typed
            assert value(answer, name).split() == typed.split()
            assert value(answer, "notes").strip() == "Rings first."
    nobody = trader.post("/contacts", form(first_name="", last_name=""))
    assert "Write a business, or a first or last name." in said(nobody)
    assert stored(app) == []


@pytest.mark.sqlite_only
def test_what_was_cleaned_from_an_address_is_shown(app: Flask, trader: Visitor) -> None:
    typed = form(email="\u00a0mailto:mary.lee@homes\u200b.example.")
    assert trader.post("/contacts", typed).status_code == 303
    assert stored(app)[0].email == MARY
    page = trader.words("/contacts/1")
    assert "We removed a hidden character." in page
    assert f"The address is {MARY}." in page


@pytest.mark.sqlite_only
def test_a_likely_slip_is_asked_about_and_never_changed_silently(
    app: Flask, trader: Visitor
) -> None:
    typed = form(email="mary@gmial.com", notes="Rings first.")
    for _ in range(2):  # pressing Save again is no answer
        asked = trader.post("/contacts", typed)
        assert asked.status_code == 422
        assert "Did you mean mary@gmail.com ?" in said(asked)
        assert (value(asked, "email"), value(asked, "notes").strip()) == (
            "mary@gmial.com",
            "Rings first.",
        )
    assert stored(app) == []
    buttons = {one["name"]: one["value"] for one in soup(asked).select(".doubt button")}
    assert buttons == {"meant": "mary@gmail.com", "kept": "mary@gmial.com"}
    other = trader.post("/contacts", typed | {"email": "mary@hotmial.com", "kept": buttons["kept"]})
    assert "mary@hotmail.com" in said(other), "an answer counts for the address it was asked about"
    assert trader.post("/contacts", typed | {"kept": buttons["kept"]}).status_code == 303
    assert stored(app)[0].email == "mary@gmial.com"
    again = form(email="mary@gmial.com", notes="Now known.", version="1")
    assert trader.post("/contacts/1", again).status_code == 303, "what was kept is not asked again"
    used = form(email="ann@gmial.com", meant="ann@gmail.com")
    assert trader.post("/contacts", used).status_code == 303
    assert stored(app)[1].email == "ann@gmail.com"


@pytest.mark.sqlite_only
def test_a_look_alike_letter_is_named_and_the_plain_one_offered(
    app: Flask, trader: Visitor
) -> None:
    refused = trader.post("/contacts", form(email="mаry.lee@homes.example"))
    assert "only looks like “a”: it is a Cyrillic letter." in said(refused)
    assert [one["name"] for one in soup(refused).select(".doubt button")] == ["meant"]
    answered = form(email="mаry.lee@homes.example", meant=MARY)
    assert trader.post("/contacts", answered).status_code == 303
    assert stored(app)[0].email == MARY


@pytest.mark.sqlite_only
def test_enter_does_not_answer_the_question(trader: Visitor) -> None:
    asked = soup(trader.post("/contacts", form(email="mary@gmial.com")))
    first = asked.select_one("#contact button[type=submit]")
    assert first and not first.get("name"), "a browser presses the first button on Enter"


def test_an_address_that_somebody_holds_is_named_with_its_holder(
    app: Flask, manager: Visitor
) -> None:
    with app.app_context():
        mary()
        copper()
    typed = form(first_name="Bob", email="MARY.LEE@homes.example")
    answer = manager.post("/contacts", typed)
    assert answer.status_code == 422
    assert "Mary Lee has this address." in said(answer)
    assert soup(answer).select_one("a[href='/contacts/1']")
    manager.post("/contacts/1/archival", {"active": "no"})
    archived = manager.post("/contacts/2", typed | {"version": "1"})
    assert "Mary Lee (inactive) has this address." in said(archived)
    assert soup(archived).select_one("a[href='/contacts/1/merger?other=2']")
    assert [one.email for one in stored(app)] == [MARY, "orders@copperco.example"]


@pytest.mark.sqlite_only
def test_an_address_is_looked_at_while_the_form_is_filled_in(app: Flask, trader: Visitor) -> None:
    with app.app_context():
        mary()
    told = {
        "Mary.lee@homes.example\u200b": ("Mary Lee has this address.", "a hidden character"),
        "bob@gmial.com": ("Did you mean bob@gmail.com",),
        "bob": ("it has no @",),
        " bob@homes.example": ("We removed spaces. The address is bob@homes.example",),
    }
    for typed, sentences in told.items():
        answer = trader.post("/contacts/address", form(email=typed), htmx=True)
        assert "<html" not in answer.text
        assert all(one in said(answer) for one in sentences), typed
    own = trader.post("/contacts/address?contact=1", form(), htmx=True)
    assert said(own) == ""
    assert len(stored(app)) == 1


def test_a_race_for_an_address_ends_at_the_same_page(
    app: Flask, trader: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context():
        mary()
    looks = iter([None])
    monkeypatch.setattr(contacts, "contact_with", lambda *a: next(looks, contact_with(*a)))
    answer = trader.post("/contacts", form(first_name="Bob"))
    assert answer.status_code == 422
    assert "Mary Lee has this address." in said(answer)
    assert value(answer, "first_name") == "Bob"


# Two people


def test_the_second_of_two_sees_what_changed_and_loses_nothing(
    app: Flask, trader: Visitor, manager: Visitor
) -> None:
    trader.post("/contacts", form())
    opened = manager.get("/contacts/1/edit")
    assert value(opened, "version") == "1"
    trader.post("/contacts/1", form(phone="0491 570 006", version="1"))
    mine = form(notes="Rings first.", version="1")
    second = manager.post("/contacts/1", mine)
    assert second.status_code == 409
    page = said(second)
    assert "Nia Cole changed this at" in page
    assert "Phone 0491 570 006 nothing" in page and "Notes nothing Rings first." in page
    assert stored(app)[0].notes == ""
    assert (value(second, "version"), value(second, "notes").strip()) == ("2", "Rings first.")
    assert manager.post("/contacts/1", mine | {"version": "2"}).status_code == 303
    (one,) = stored(app)
    assert (one.phone, one.notes) == ("", "Rings first.")


def test_a_saving_in_the_very_same_moment_ends_at_the_same_page(
    app: Flask, trader: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context():
        keep({**form(), "active": True}, nia())

    def meanwhile(contact: Contact | None, known: object) -> str:
        db.session.execute(
            Contact.__table__.update().values(version=2, phone="1234")  # type: ignore[attr-defined]
        )
        return "Changed."

    monkeypatch.setattr(contacts, "_changes", meanwhile)
    answer = trader.post("/contacts/1", form(notes="Rings first.", version="1"))
    assert answer.status_code == 409
    assert value(answer, "notes").strip() == "Rings first."
    assert stored(app)[0].notes == ""


@pytest.mark.sqlite_only
def test_saving_what_somebody_else_saved_already_is_no_conflict(
    app: Flask, trader: Visitor
) -> None:
    trader.post("/contacts", form())
    trader.post("/contacts/1", form(phone="1234", version="1"))
    assert trader.post("/contacts/1", form(phone="1234", version="1")).status_code == 303


# Finding


@pytest.mark.sqlite_only
def test_contacts_are_found_by_words_and_by_what_they_are(app: Flask, trader: Visitor) -> None:
    assert "Nobody here yet" in trader.words("/contacts")
    with app.app_context():
        mary()
        copper()
    assert "Copper & Co" not in trader.words("/contacts?q=homes.ex")
    suppliers = trader.get("/contacts?type=supplier", htmx=True).text
    assert "Copper &amp; Co" in suppliers and "Mary Lee" not in suppliers
    whole = trader.get("/contacts?type=supplier").text
    assert "<html" not in suppliers and suppliers.strip() in whole
    assert "Nobody found" in trader.words("/contacts?q=zebra")


@pytest.mark.sqlite_only
def test_clearing_the_active_filter_finds_the_other_holder_of_an_address(
    app: Flask, trader: Visitor
) -> None:
    with app.app_context():
        mary()
    trader.post("/contacts/1/archival", {"active": "no"})
    only_active = f"/contacts?filters=set&active=yes&email={MARY}"
    hint = trader.get(only_active)
    assert "1 inactive contact has this." in said(hint)
    way = soup(hint).select_one("#found .btn.primary")
    assert way
    found = trader.get(str(way["href"]))
    assert "Mary Lee" in said(found) and "Inactive" in said(found)
    assert not soup(found).select_one("#active[checked]"), "the filter is cleared in the form too"
    free = trader.words("/contacts?filters=set&email=nobody@homes.example")
    assert "Nobody has the address nobody@homes.example. It is free to use." in free


@pytest.mark.sqlite_only
def test_a_long_list_goes_on_by_name(app: Flask, trader: Visitor) -> None:
    with app.app_context():
        names = [f"Customer {n:03}" for n in range(120)]
        db.session.add_all(Contact(business=name) for name in reversed(names))
        db.session.commit()
    seen: list[str] = []
    address = "/contacts?type=customer"
    for _ in range(3):
        page = soup(trader.get(address))
        seen += [row.get_text() for row in page.select("#found a.whole")]
        further = page.select_one("a[rel=next]")
        address = str(further["href"]) if further else ""
    assert seen == names and not address


# One contact's page


def test_a_contact_that_is_needed_is_archived_rather_than_deleted(
    app: Flask, manager: Visitor, trader: Visitor
) -> None:
    with app.app_context():
        number = document(contact=mary()).number
    assert trader.post("/contacts/1/deletion").status_code == 403
    refused = manager.post("/contacts/1/deletion")
    assert refused.status_code == 409
    assert "Mary Lee cannot be deleted: it is in use." in said(refused)
    assert f"Invoice: {number}" in said(refused)
    assert "Archive it instead" in said(refused)
    assert manager.post("/contacts/1/archival", {"active": "no"}).location == "/contacts/1"
    assert "Mary Lee" not in trader.words("/contacts")
    assert manager.post("/contacts/1/archival", {"active": "yes"}).status_code == 303
    assert "Mary Lee" in trader.words("/contacts")
    page = manager.words("/contacts/1")
    assert number in page and "Archived." in page and "Brought back." in page


@pytest.mark.sqlite_only
def test_somebody_who_is_to_receive_but_cannot_says_where(app: Flask, trader: Visitor) -> None:
    with app.app_context():
        one = mary()
        where = Property(customer_id=one.id, name="12 Hill St")
        where.contacts = [PropertyContact(contact_id=one.id, billing=True, email_invoice=True)]
        db.session.add(where)
        db.session.commit()
    page = trader.words("/contacts/1")
    assert "Customer, Billing" in page and "Email Invoice" in page
    assert "nothing can be sent to them" not in page
    trader.post("/contacts/1", form(email="", version="1"))
    assert "Write their e-mail address, or tick somebody else at 12 Hill St" in trader.words(
        "/contacts/1"
    )
    trader.post("/contacts/1/archival", {"active": "no"})
    assert "They are archived. Tick somebody else at 12 Hill St" in trader.words("/contacts/1")


@pytest.mark.sqlite_only
def test_a_contact_that_nothing_needs_can_go(app: Flask, manager: Visitor) -> None:
    manager.post("/contacts", form())
    assert manager.post("/contacts/1/deletion").location == "/contacts"
    assert stored(app) == []


@pytest.mark.sqlite_only
def test_an_employee_s_page_leads_to_their_user(manager: Visitor, trader: Visitor) -> None:
    manager.post("/contacts", form(type="employee"))
    assert "Create user" in manager.words("/contacts/1")
    assert "Create user" not in trader.words("/contacts/1")


@pytest.mark.sqlite_only
def test_a_new_contact_leads_back_to_the_document_it_was_needed_for(
    app: Flask, trader: Visitor
) -> None:
    new = trader.get("/contacts/new?for=purchase_order")
    assert soup(new).select_one("[name=type][value=supplier][checked]")
    sent = form(type="supplier", next="/documents/purchase_order/new")
    back = trader.post("/contacts", sent).location
    assert back == f"/documents/purchase_order/new?contact={stored(app)[0].id}"
    elsewhere = form(email="", next="https://evil.example/")
    assert trader.post("/contacts", elsewhere).location == "/"


# Merging


def test_two_records_of_one_person_become_one(app: Flask, manager: Visitor) -> None:
    with app.app_context():
        mary()
        number = document(contact=copper()).number
    choosing = soup(manager.get("/contacts/1/merger?q=copper"))
    assert choosing.select_one("a[href='/contacts/1/merger?other=2']")
    both = manager.get("/contacts/1/merger?other=2")
    assert number in said(both), "what moves is told before"
    chosen = {"other": "2", "versions": value(both, "versions"), "type": "mine", "email": "other"}
    assert manager.post("/contacts/1/merger", chosen).location == "/contacts/1"
    kept = manager.words("/contacts/1")
    assert number in kept and "orders@copperco.example" in kept and "Copper & Co" in kept
    gone = manager.words("/contacts/2")
    assert "This is now part of Copper & Co" in gone
    assert manager.get("/contacts/2/edit").location == "/contacts/2"
    assert "Merged" not in manager.words("/contacts")


@pytest.mark.sqlite_only
def test_nobody_merges_what_they_have_not_seen(app: Flask, manager: Visitor) -> None:
    with app.app_context():
        mary()
        copper()
    seen = {"other": "2", "versions": value(manager.get("/contacts/1/merger?other=2"), "versions")}
    manager.post("/contacts/1", form(phone="1234", version="1"))
    refused = manager.post("/contacts/1/merger", seen | {"phone": "other"})
    assert refused.status_code == 409
    assert "Look at both again" in said(refused)
    assert soup(refused).select_one("[name=versions]")["value"] != seen["versions"]  # type: ignore[index]
    same = manager.get("/contacts/1/merger?other=1")
    assert "this is the same one" in said(same)
    assert all(one.active for one in stored(app))


def test_addresses_are_taken_as_people_paste_them() -> None:
    pasted = '"Lee, Mary" <mary.lee@homes.example>; bob@homes.example\r\n ,Eve <eve@homes.example>'
    assert addresses_in(pasted) == (MARY, "bob@homes.example", "eve@homes.example")
    assert addresses_in(" , ;\n") == ()
    with pytest.raises(BadAddress, match="These are 501 addresses; the most is 500"):
        addresses_in(",".join(f"a{n}@homes.example" for n in range(501)))
    for bad in ("mary", 'a" <b@c.example', "Bcc: eve@spam.example", "<a@b.example>x"):
        with pytest.raises(BadAddress, match="is not an e-mail address"):
            addresses_in(bad)
