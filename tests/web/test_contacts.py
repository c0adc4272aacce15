"""Contacts are found, written and kept apart."""

import pytest
from bs4 import BeautifulSoup
from flask import Flask
from sqlalchemy import select

from portal.extensions import db
from portal.people import BadAddress, Contact, addresses_in
from tests.factories import MARY, copper, mary, nia
from tests.visitor import Visitor, said, visitor


@pytest.fixture
def trader(app: Flask) -> Visitor:
    return visitor(app, nia)


def contacts(app: Flask) -> list[Contact]:
    with app.app_context():
        return list(db.session.scalars(select(Contact).order_by(Contact.id)))


def form(**changed: str) -> dict[str, str]:
    typed = {"role": "customer", "name": "Mary Lee", "email": MARY, "phone": "", "address": ""}
    return typed | changed


def test_a_contact_is_written_and_changed(app: Flask, trader: Visitor) -> None:
    typed = form(email="  Mary.Lee@HOMES.example ", address="12 Hill St\r\nNewtown")
    assert trader.post("/contacts", typed).location == "/contacts"
    (one,) = contacts(app)
    assert (one.email, one.address) == ("Mary.Lee@homes.example", "12 Hill St\nNewtown")
    assert "Mary Lee is saved." in trader.words("/contacts")
    changed = trader.post(f"/contacts/{one.id}", form(attention="Accounts", phone="0491 570 006"))
    assert changed.status_code == 303
    (one,) = contacts(app)
    assert (one.attention, one.phone, one.email) == ("Accounts", "0491 570 006", MARY)


@pytest.mark.sqlite_only
def test_bad_input_keeps_what_was_typed_and_stores_nothing(app: Flask, trader: Visitor) -> None:
    bad = {
        "name": {"": "Write a name.", "Mary\nLee": "Name must be a single line."},
        "email": {
            "mary.lee": "“mary.lee” is not an e-mail address: it has no @",
            "mary lee@homes.example": "is not an e-mail address",
            "mary@homes.example\r\nBcc: eve@spam.example": "The address has a line break in it.",
            "ma\u200bry@homes.example": "is not an e-mail address",
        },
        "phone": {"9" * 61: "Phone is 1 characters too long; the most is 60."},
    }
    for name, cases in bad.items():
        for typed, sentence in cases.items():
            answer = trader.post("/contacts", form(**{name: typed, "attention": "Her desk"}))
            assert answer.status_code == 422, typed
            page = BeautifulSoup(answer.text, "html.parser")
            wrong = page.select_one(f"[name={name}]")
            beside = page.find(id=f"{name}-error")
            assert beside and sentence in beside.get_text(" "), typed
            assert wrong and str(wrong.get("value", "")).split() == typed.split()
            assert page.select_one("[name=attention][value='Her desk']")
    assert contacts(app) == []


def test_an_address_that_somebody_holds_is_named_with_its_holder(
    app: Flask, trader: Visitor
) -> None:
    with app.app_context():
        mary()
    typed = form(name="Bob Lee", email="MARY.LEE@homes.example")
    answer = trader.post("/contacts", typed)
    assert answer.status_code == 422
    assert "already belongs to Mary Lee." in said(answer)
    assert len(contacts(app)) == 1
    assert trader.post("/contacts", {**typed, "shared": "y"}).status_code == 303
    assert [one.name for one in contacts(app)] == ["Mary Lee", "Bob Lee"]


@pytest.mark.sqlite_only
def test_saving_a_contact_unchanged_is_no_clash_with_itself(app: Flask, trader: Visitor) -> None:
    with app.app_context():
        number = mary().id
    assert trader.post(f"/contacts/{number}", form()).status_code == 303


@pytest.mark.sqlite_only
def test_contacts_are_found_by_words_and_by_what_they_are(app: Flask, trader: Visitor) -> None:
    assert "Nobody here yet" in trader.words("/contacts")
    with app.app_context():
        mary()
        copper()
    assert "Copper & Co" not in trader.words("/contacts?q=homes.ex")
    suppliers = trader.get("/contacts?role=supplier", htmx=True).text
    assert "Copper &amp; Co" in suppliers and "Mary Lee" not in suppliers
    assert (
        "<html" not in suppliers and suppliers.strip() in trader.get("/contacts?role=supplier").text
    )
    assert "Nobody found" in trader.words("/contacts?q=zebra")


@pytest.mark.sqlite_only
def test_a_new_contact_leads_back_to_the_document_it_was_needed_for(
    app: Flask, trader: Visitor
) -> None:
    new = trader.get("/contacts/new?for=purchase_order").text
    assert BeautifulSoup(new, "html.parser").select_one("[name=role][value=supplier][checked]")
    sent = form(role="supplier", next="/documents/purchase_order/new")
    back = trader.post("/contacts", sent).location
    number = contacts(app)[0].id
    assert back == f"/documents/purchase_order/new?contact={number}"
    chosen = BeautifulSoup(trader.get(back).text, "html.parser").select_one("option[selected]")
    assert chosen and chosen.text == "Mary Lee"
    elsewhere = form(email="", next="https://evil.example/")
    assert trader.post("/contacts", elsewhere).location == "/"


def test_addresses_are_taken_as_people_paste_them() -> None:
    pasted = '"Lee, Mary" <mary.lee@homes.example>; bob@homes.example\r\n ,Eve <eve@homes.example>'
    assert addresses_in(pasted) == (MARY, "bob@homes.example", "eve@homes.example")
    assert addresses_in(" , ;\n") == ()
    with pytest.raises(BadAddress, match="These are 21 addresses; the most is 20"):
        addresses_in(",".join(f"a{n}@homes.example" for n in range(21)))
    for bad in ("mary", 'a" <b@c.example', "Bcc: eve@spam.example", "<a@b.example>x"):
        with pytest.raises(BadAddress, match="is not an e-mail address"):
            addresses_in(bad)
