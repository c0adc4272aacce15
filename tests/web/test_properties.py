"""Properties are found and written, and say who receives what there."""

from typing import Any

import pytest
from bs4 import BeautifulSoup
from flask import Flask
from sqlalchemy import event, update

from portal import properties
from portal.accounts import end
from portal.documents import PENDING, Document
from portal.extensions import db
from portal.people import Contact
from portal.places import FLAGS, Property
from tests.factories import MARY, branch, contact, document, hill_st, mary, nia, olive, tom
from tests.visitor import Visitor, said, visitor

EVERYTHING = set(FLAGS)


@pytest.fixture
def trader(app: Flask) -> Visitor:
    return visitor(app, tom)


def bob(**known: Any) -> Contact:
    return contact(first_name="Bob", last_name="Lee", email="bob@homes.example", **known)


def stored(app: Flask, name: str = "12 Hill St") -> dict[str, Any]:
    """A property as it stands: its columns, and its contacts' ticks."""
    with app.app_context():
        where = db.session.query(Property).filter_by(name=name).one()
        known = {column.key: getattr(where, column.key) for column in Property.__table__.columns}
        return known | {"ticks": properties.ticked(where)}


def form(app: Flask, **changed: object) -> dict[str, Any]:
    """What the form of 12 Hill St sends back."""
    known = stored(app)
    names = ("name", "address", "customer_id", "branch_id", "account_manager_id", "notes")
    return {name: known[name] or "" for name in (*names, "version")} | changed


def ticks(app: Flask, wanted: dict[int, set[str]], version: int | None = None) -> dict[str, Any]:
    """What the ticks of 12 Hill St send back."""
    version = version or stored(app)["version"]
    by_flag = {flag: [one for one, mine in wanted.items() if flag in mine] for flag in FLAGS}
    return {"contact": list(wanted), "version": version, **by_flag}


def test_a_new_property_receives_everything_through_its_customer(
    app: Flask, trader: Visitor
) -> None:
    with app.app_context():
        customer, newcastle = mary().id, branch().id
    page = BeautifulSoup(trader.get(f"/properties/new?customer={customer}").text, "html.parser")
    chosen = page.select_one("input[name=customer_id][checked]")
    assert chosen and chosen["value"] == str(customer)
    name = page.select_one("[name=name]")
    assert name and name["value"] == "12 Hill St", "the customer's own address is the likeliest"
    typed = {"name": " 12 Hill St ", "customer_id": customer, "branch_id": newcastle}
    made = trader.post("/properties", typed)
    known = stored(app)
    assert made.location == f"/properties/{known['id']}"
    assert known["ticks"] == {customer: EVERYTHING}
    words = trader.words(made.location)
    assert "Mary Lee is its contact for everything." in words
    assert "An invoice goes to Mary Lee , marked Billing and Email Invoice at 12 Hill St." in words
    assert "A purchase order goes to its supplier . A copy goes to Mary Lee" in words


@pytest.mark.sqlite_only
def test_bad_input_is_told_beside_the_field_and_kept(app: Flask, trader: Visitor) -> None:
    with app.app_context():
        newcastle, gone = branch().id, bob(active=False).id
    for wrong, field, sentence in (
        ({"name": ""}, "name", "Write a name, such as 12 Hill St."),
        ({"customer_id": ""}, "customer_id", "Find the customer, and choose them."),
        ({"customer_id": "99999"}, "customer_id", "Find the customer, and choose them."),
        ({"customer_id": gone}, "customer_id", "Bob Lee is no longer active."),
        ({"branch_id": "99999"}, "branch_id", "Not a valid choice."),
        ({"notes": "x" * 4001}, "notes", "Notes is 1 characters too long"),
    ):
        typed = {"name": "12 Hill St", "branch_id": newcastle, "address": "Typed with care"} | wrong
        answer = trader.post("/properties", typed)
        assert answer.status_code == 422, wrong
        page = BeautifulSoup(answer.text, "html.parser")
        beside = page.find(id=f"{field}-error")
        assert beside and sentence in beside.get_text(" "), wrong
        assert "Typed with care" in answer.text
    with app.app_context():
        assert db.session.query(Property).count() == 0


@pytest.mark.sqlite_only
def test_the_customer_is_found_while_typing_and_without_script(app: Flask, trader: Visitor) -> None:
    with app.app_context():
        mary()
        contact(business="Harbour Strata Management", type="customer")
    finder = BeautifulSoup(trader.get("/properties/new").text, "html.parser").find(id="find")
    assert finder and finder["hx-get"] == "/properties/new"
    found = trader.get("/properties/new?find=harb", htmx=True)
    assert "Harbour Strata" in found.text and "Mary" not in found.text
    assert "<html" not in found.text
    looked = trader.post("/properties", {"look": "1", "find": "harb", "name": "9 Quay St"})
    assert looked.status_code == 200
    assert "Harbour Strata" in looked.text and 'value="9 Quay St"' in looked.text
    assert "Nobody found." in said(trader.get("/properties/new?find=zebra"))


def test_a_property_that_changes_its_branch_takes_what_was_not_sent_along(
    app: Flask, trader: Visitor
) -> None:
    with app.app_context():
        document(site=hill_st())
        gosford = branch("Gosford").id
    number = stored(app)["id"]
    saved = trader.post(f"/properties/{number}", form(app, branch_id=gosford))
    assert saved.status_code == 303
    words = trader.words(saved.location)
    assert "12 Hill St is saved. 1 document not sent yet moved with it." in words
    assert "Branch: Newcastle → Gosford." in words and "Tom Baker" in words
    with app.app_context():
        assert db.session.query(Document).one().branch_id == gosford


def test_ticks_are_shown_live_and_saved_together(app: Flask, trader: Visitor) -> None:
    with app.app_context():
        hill = hill_st()
        invoice = document(site=hill).id
        properties.add_contact(hill, bob(), olive())
        number, mary_id, bob_id = hill.id, mary().id, bob().id
    here = f"/properties/{number}"
    wanted = {mary_id: {"primary", "email_quote"}, bob_id: {"billing", "email_invoice"}}
    sent = ticks(app, wanted)
    live = trader.get(here, query_string=sent, htmx=True)
    assert "An invoice goes to Bob Lee" in said(live) and "<html" not in live.text
    assert "With these ticks, once they are saved" in said(live)
    assert stored(app)["ticks"][mary_id] == EVERYTHING, "looking stores nothing"
    assert trader.post(f"{here}/ticks", sent).location == f"{here}#contacts"
    assert stored(app)["ticks"] == wanted
    words = trader.words(here)
    assert "An invoice goes to Bob Lee , marked Billing and Email Invoice at 12 Hill St." in words
    assert "A job goes to nobody. No contact of 12 Hill St is marked Email Job." in words
    assert "Bob Lee: now Billing, Email Invoice." in words
    nobody = {mary_id: {"primary", "email_invoice"}, bob_id: set[str]()}
    assert trader.post(f"{here}/ticks", ticks(app, nobody)).status_code == 303
    words = trader.words(here)
    assert "An invoice goes to nobody. 12 Hill St has no billing contact" in words
    assert "1 invoice for this property has nobody to go to." in words
    with app.app_context():
        kept = db.session.get(Document, invoice)
        assert kept and kept.email_status != PENDING


def test_who_ticks_second_sees_what_changed_and_loses_nothing(app: Flask, trader: Visitor) -> None:
    with app.app_context():
        hill = hill_st()
        number, mary_id, version = hill.id, mary().id, hill.version
        properties.tick(hill, {mary_id: EVERYTHING - {"email_job"}}, nia())
        properties.add_contact(hill, bob(), nia())
    mine = ticks(app, {mary_id: EVERYTHING - {"email_quote"}}, version)
    answer = trader.post(f"/properties/{number}/ticks", mine)
    assert answer.status_code == 409
    words = said(answer)
    assert "Nia Cole changed this" in words
    assert "Mary Lee: Email Quote yes no" in words and "Mary Lee: Email Job no yes" in words
    page = BeautifulSoup(answer.text, "html.parser")
    assert page.select_one(f"[name=email_job][value='{mary_id}'][checked]")
    assert not page.select_one(f"[name=email_quote][value='{mary_id}'][checked]")
    again = page.select_one("#ticks [name=version]")
    assert again
    mine["version"] = again["value"]
    assert trader.post(f"/properties/{number}/ticks", mine).status_code == 303
    kept = stored(app)["ticks"]
    assert kept[mary_id] == EVERYTHING - {"email_quote"} and len(kept) == 2


def test_who_saves_the_form_second_sees_both_values_by_their_names(
    app: Flask, trader: Visitor
) -> None:
    with app.app_context():
        hill = hill_st()
        harbour = contact(business="Harbour Strata Management", type="customer").id
        number, old = hill.id, form(app)
        hill.customer_id = harbour
        hill.account_manager = nia()
        db.session.commit()
    answer = trader.post(f"/properties/{number}", old | {"notes": "The key is with Ann."})
    assert answer.status_code == 409
    words = said(answer)
    assert "Customer Harbour Strata Management Mary Lee" in words
    assert "Account manager Nia Cole nothing" in words or "Account manager Nia Cole Nobody" in words
    assert "The key is with Ann." in answer.text
    page = BeautifulSoup(answer.text, "html.parser")
    version = page.select_one("#property [name=version]")
    assert version
    again = old | {"notes": "The key is with Ann.", "version": version["value"]}
    assert trader.post(f"/properties/{number}", again).status_code == 303
    kept = stored(app)
    with app.app_context():
        assert (kept["notes"], kept["customer_id"]) == ("The key is with Ann.", mary().id)


def test_a_contact_is_added_by_search_or_as_new_and_removed(app: Flask, trader: Visitor) -> None:
    with app.app_context():
        number, bob_id, mary_id = hill_st().id, bob().id, mary().id
    here = f"/properties/{number}/contacts"
    search = BeautifulSoup(trader.get(here).text, "html.parser").select_one(".search [name=q]")
    assert search and search["hx-get"] == here
    found = trader.get(f"{here}?q=bob", htmx=True)
    assert "Bob Lee" in found.text and "<html" not in found.text
    assert "Mary Lee" not in said(trader.get(f"{here}?q=lee")), "who is there is not offered"
    assert trader.post(here, {"contact": bob_id}).location == f"/properties/{number}#contacts"
    assert stored(app)["ticks"][bob_id] == set()
    typed = {"type": "customer", "first_name": "Ann", "last_name": "Wu", "email": "", "next": here}
    written = trader.post("/contacts", typed)
    assert written.status_code == 303 and written.location.startswith(f"{here}?contact=")
    offered = BeautifulSoup(trader.get(written.location).text, "html.parser")
    assert [one.text for one in offered.select(".people strong")] == ["Ann Wu"]
    assert trader.post(f"{here}/{mary_id}/remove").status_code == 303
    assert list(stored(app)["ticks"]) == [bob_id]
    assert trader.post(here, {"contact": "x"}).status_code == 400


def test_an_account_manager_who_left_is_shown_with_the_fix(app: Flask, trader: Visitor) -> None:
    with app.app_context():
        number = hill_st(account_manager=nia()).id
        end(nia())
    words = trader.words(f"/properties/{number}")
    assert "Nia Cole, its account manager, no longer works here" in words
    assert "Choose another account manager" in words
    edit = BeautifulSoup(trader.get(f"/properties/{number}/edit").text, "html.parser")
    chosen = edit.select_one("#account_manager_id option[selected]")
    assert chosen and chosen.text == "Nia Cole (left)"
    assert trader.post(f"/properties/{number}", form(app, notes="x")).status_code == 303
    assert "12 Hill St" in trader.words("/properties?manager=left")
    assert "Nothing found" in trader.words("/properties?manager=none")


@pytest.mark.sqlite_only
def test_the_list_is_narrowed_by_what_stands_in_the_address(app: Flask, trader: Visitor) -> None:
    assert "No properties yet" in trader.words("/properties")
    with app.app_context():
        hill_st()
        bare = hill_st("9 Quay St", branch=branch("Gosford"))
        properties.tick(bare, {mary().id: set()}, olive())
        document(site=bare)
        gosford, customer = bare.branch_id, bare.customer_id
    words = trader.words("/properties")
    assert "1 invoice has nobody to go to" in words
    narrowed = trader.get(f"/properties?branch={gosford}", htmx=True)
    assert "9 Quay St" in narrowed.text and "12 Hill St" not in narrowed.text
    assert "<html" not in narrowed.text
    assert "12 Hill St" not in trader.words("/properties?lacking=billing")
    assert "Only those of Mary Lee" in trader.words(f"/properties?customer={customer}")
    odd = "/properties?branch=x&manager=drop&state=odd&after=99999999999&region=-1"
    assert "12 Hill St" in trader.words(odd)


@pytest.mark.sqlite_only
def test_a_long_list_goes_on_where_it_ended(app: Flask, trader: Visitor) -> None:
    with app.app_context():
        db.session.add_all(
            Property(customer=mary(), name=f"Unit {number:02}", branch=branch())
            for number in range(60)
        )
        db.session.commit()
    page = BeautifulSoup(trader.get("/properties?q=unit").text, "html.parser")
    names = [one.text for one in page.select("tbody th a")]
    more = page.select_one("a[rel=next]")
    assert more and "q=unit" in str(more["href"])
    rest = BeautifulSoup(trader.get(str(more["href"])).text, "html.parser")
    names += [one.text for one in rest.select("tbody th a")]
    assert names == [f"Unit {number:02}" for number in range(60)]
    assert not rest.select_one("a[rel=next]")


def test_a_property_in_use_is_archived_and_not_deleted(app: Flask, trader: Visitor) -> None:
    with app.app_context():
        hill = hill_st()
        number, invoice = hill.id, document(site=hill).number
    here = f"/properties/{number}"
    refused = trader.post(f"{here}/delete")
    assert refused.status_code == 422
    assert f"cannot be deleted: it is in use. Invoice: {invoice}" in said(refused)
    assert trader.post(f"{here}/archive").location == here
    new = f"/documents/invoice/new?property={number}"
    archived = trader.get(here)
    assert "12 Hill St is archived." in said(archived) and new not in archived.text
    assert "12 Hill St" not in trader.words("/properties?q=hill").replace("“12 Hill St”", "")
    assert trader.post(f"{here}/bring-back").status_code == 303
    assert stored(app)["active"] and new in trader.get(here).text
    with app.app_context():
        bare = hill_st("1 Old Rd").id
    assert trader.post(f"/properties/{bare}/delete").location == "/properties"
    assert trader.post(f"{here}/paint").status_code == 404


@pytest.mark.sqlite_only
def test_a_customer_with_an_archived_record_keeps_their_property(
    app: Flask, trader: Visitor
) -> None:
    with app.app_context():
        number = hill_st(customer=mary(MARY)).id
        mary().active = False
        db.session.commit()
    assert trader.post(f"/properties/{number}", form(app, notes="Still theirs")).status_code == 303
    assert "is no longer active" in trader.words(f"/properties/{number}")


def test_two_who_save_at_the_very_same_moment_both_end_at_a_page(
    app: Flask, trader: Visitor
) -> None:
    with app.app_context():
        number, mary_id, bob_id = hill_st().id, mary().id, bob().id
    overtaken = list[str]()

    def overtake(session: Any, *_: Any) -> None:
        where = session.get(Property, number)
        if where in session.dirty and not overtaken:
            overtaken.append(where.name)
            mine = update(Property).where(Property.id == number).values(version=99)
            session.connection().execute(mine)

    here = f"/properties/{number}"
    deeds: dict[str, dict[str, Any]] = {
        here: form(app, notes="The key is with Ann."),
        f"{here}/ticks": ticks(app, {mary_id: {"billing"}}),
        f"{here}/contacts": {"contact": bob_id},
        f"{here}/archive": {},
    }
    event.listen(db.session, "before_flush", overtake)
    try:
        for address, typed in deeds.items():
            overtaken.clear()
            typed |= {"version": stored(app)["version"]}
            assert trader.post(address, typed).status_code == 303, address
            assert overtaken, address
    finally:
        event.remove(db.session, "before_flush", overtake)
    known = stored(app)
    assert (known["notes"], known["active"]) == ("The key is with Ann.", False)
    assert known["ticks"] == {mary_id: {"billing"}, bob_id: set()}
