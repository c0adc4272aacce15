"""Every rule for who mail comes from, at any place, and the simulator that explains them."""

import pytest
from bs4 import BeautifulSoup, Tag
from flask import Flask
from sqlalchemy import select

from portal import policy
from portal.accounts import end
from portal.extensions import db
from portal.people import Company
from portal.policy import SenderRule
from portal.senders import Mode, Place, Rule, Scope
from tests.factories import ACCOUNTS, OFFICE, branch, mary, nia, office_mailbox, olive, site, tom
from tests.visitor import Visitor, said, visitor

pytestmark = pytest.mark.sqlite_only

TOM = "tom@brightspark.example"


@pytest.fixture
def manager(app: Flask) -> Visitor:
    """Olive, with the office's mailbox, North and South, and two properties of Mary's."""
    with app.app_context():
        office_mailbox(accounts="pending")
        newcastle = branch("Newcastle", "North")
        branch("Gosford", "North"), branch("Wollongong", "South")
        site("12 Hill St", newcastle, manager=tom())
        site("9 Quay St", newcastle, manager=nia())
        db.session.remove()
    return visitor(app, olive)


def rules(app: Flask) -> list[Rule]:
    with app.app_context():
        return policy.rules()


def add(app: Flask, word: str, kind: str, mode: Mode, address: str = "") -> int:
    """A stored rule at a place, by its number."""
    with app.app_context():
        place = policy.place_named(word)
        assert place is not None
        policy.set_rule(kind, mode, address, place=place, actor="Tom Baker")
        return db.session.scalars(select(SenderRule.id).order_by(SenderRule.id.desc())).first() or 0


def place(app: Flask, word: str) -> Place:
    with app.app_context():
        found = policy.place_named(word)
        assert found is not None
        return found


def rung(page: str) -> str:
    """The step of the ladder that decides."""
    (won,) = BeautifulSoup(page.replace("<wbr>", ""), "html.parser").select(".ladder > .won")
    return " ".join(won.get_text(" ").split())


def notices(page: str) -> list[Tag]:
    return list(BeautifulSoup(page, "html.parser").select(".flashes .notice"))


# The list


def test_without_rules_the_list_tells_what_holds(manager: Visitor) -> None:
    page = manager.words("/settings/rules")
    assert "The company Every document The company mailbox (while no other rule is made)" in page


def test_the_list_tells_where_what_from_whom_and_who_is_not_ready(
    app: Flask, manager: Visitor
) -> None:
    add(app, "company", "invoice", Mode.SPECIFIED, ACCOUNTS)
    add(app, "branch:1", "", Mode.ACCOUNT_MANAGER)
    add(app, "property:1", "quote", Mode.USER)
    page = manager.words("/settings/rules")
    assert f"The company Invoices {ACCOUNTS} Not ready {ACCOUNTS} is not confirmed yet" in page
    assert "Branch Newcastle Every document The property's account manager 1 of 2 properties" in (
        page
    )
    assert "Not yet: Nia Cole (1)." in page
    assert "Property 12 Hill St Quotes Whoever presses Send 1 of 3 people ready" in page


def test_a_rule_that_never_counts_says_what_stands_before_it(app: Flask, manager: Visitor) -> None:
    add(app, "region:1", "", Mode.USER)
    for word in ("branch:1", "branch:2"):
        add(app, word, "", Mode.DEFAULT)
    page = manager.words("/settings/rules")
    assert page.count("Never counts") == 1
    assert "Each of its branches has its own rule. Look at" in page


def test_the_latest_changes_stand_under_the_list(app: Flask, manager: Visitor) -> None:
    add(app, "branch:1", "invoice", Mode.DEFAULT)
    assert "Invoices of the branch Newcastle: now come from the company mailbox." in (
        manager.words("/settings/rules")
    )


def test_many_rules_are_searched_and_sifted(app: Flask, manager: Visitor) -> None:
    with app.app_context():
        for number in range(9):
            made = site(f"{number} Long St")
            where = Place(Scope.PROPERTY, made.id, made.name)
            policy.set_rule("invoice", Mode.SPECIFIED, ACCOUNTS if number else TOM, place=where)
    page = manager.words("/settings/rules")
    assert "All (9)" in page and "Not ready (8)" in page and "In another’s shadow (0)" in page
    part = manager.get("/settings/rules?q=7+long", htmx=True)
    assert "<html" not in part.text
    assert "Property 7 Long St" in said(part) and "Property 8 Long St" not in said(part)
    assert "Property 0 Long St" not in manager.words("/settings/rules?only=waiting")
    assert "No such rule" in manager.words("/settings/rules?q=zebra")


# Making one


def test_a_place_is_found_by_a_part_of_its_name(manager: Visitor) -> None:
    page = manager.get("/settings/rules/new?q=hill", htmx=True)
    assert "<html" not in page.text and 'href="/settings/rules/new?place=property:1"' in page.text
    page = manager.get("/settings/rules/new?q=mary")
    assert "place=customer:1" in page.text and "place=property:2" in page.text
    assert "Nothing found for “zebra”" in manager.words("/settings/rules/new?q=zebra")
    assert "place=branch:3" in manager.get("/settings/rules/new").text


@pytest.mark.parametrize("word", ["region:1", "branch:2", "customer:1", "property:2"])
@pytest.mark.parametrize("kind", ["", "invoice"])
def test_a_rule_is_made_for_any_place_and_any_or_one_kind(
    app: Flask, manager: Visitor, word: str, kind: str
) -> None:
    assert manager.get(f"/settings/rules/new?place={word}&kind={kind}").status_code == 200
    answer = manager.post("/settings/rules", {"place": word, "kind": kind, "mode": "user"})
    assert answer.location == "/settings/rules"
    (rule,) = rules(app)
    assert (rule.place, rule.kind, rule.mode) == (place(app, word), kind or None, Mode.USER)


def test_the_companys_own_rule_has_its_own_page(manager: Visitor) -> None:
    assert manager.get("/settings/rules/new?place=company").location == "/settings/send-from"


def test_a_mode_is_tried_before_it_is_stored(app: Flask, manager: Visitor) -> None:
    path = f"/settings/rules/new?place=branch:1&kind=invoice&mode=specified&listed={TOM}"
    answer = manager.get(path, htmx=True)
    assert "<html" not in answer.text and f"<{TOM}> Ready." in said(answer)
    assert "1 of 2 account managers ready" in said(answer)
    assert rules(app) == []


def test_a_specified_address_may_bear_a_name(app: Flask, manager: Visitor) -> None:
    form = {"place": "branch:1", "kind": "", "mode": "specified", "listed": TOM, "name": " North "}
    manager.post("/settings/rules", form)
    assert rules(app)[0].name == "North"
    page = manager.words("/settings/simulator?place=branch:1")
    assert f"From North {TOM}" in page


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"typed": ""}, "Choose an address from the list, or write one."),
        ({"typed": "north at work"}, "is not an e-mail address"),
        ({"typed": ACCOUNTS, "name": "North <x@y.example>"}, "Write a plain name"),
        ({"typed": ACCOUNTS, "name": "N" * 81}, "The name is too long"),
    ],
)
def test_a_refused_rule_keeps_what_was_typed(
    app: Flask, manager: Visitor, wrong: dict[str, str], sentence: str
) -> None:
    form = {"place": "branch:1", "kind": "quote", "mode": "specified", "listed": "", **wrong}
    answer = manager.post("/settings/rules", form)
    assert answer.status_code == 422 and sentence in said(answer)
    soup = BeautifulSoup(answer.text, "html.parser")
    assert soup.select_one("#typed")["value"] == wrong["typed"]  # type: ignore[index]
    assert soup.select_one("#name")["value"] == wrong.get("name", "")  # type: ignore[index]
    assert soup.select_one("#kind option[selected]")["value"] == "quote"  # type: ignore[index]
    assert rules(app) == []


def test_a_second_rule_for_the_same_is_refused_with_the_way_to_the_first(
    app: Flask, manager: Visitor
) -> None:
    first = add(app, "branch:1", "invoice", Mode.DEFAULT)
    form = {"place": "branch:1", "kind": "invoice", "mode": "user"}
    answer = manager.post("/settings/rules", form)
    assert answer.status_code == 409 and f'href="/settings/rules/{first}"' in answer.text
    assert "Invoices of the branch Newcastle have a rule already." in said(answer)
    assert [one.mode for one in rules(app)] == [Mode.DEFAULT]


@pytest.mark.parametrize(
    "form",
    [
        {"place": "branch:99", "mode": "user"},
        {"place": "moon:1", "mode": "user"},
        {"place": "branch:1", "mode": "relay"},
        {"place": "branch:1", "mode": "luck"},
    ],
)
def test_what_cannot_be_is_refused(app: Flask, manager: Visitor, form: dict[str, str]) -> None:
    assert manager.post("/settings/rules", form).status_code == 400
    assert rules(app) == []


def test_the_relay_is_shown_with_why_it_cannot_be_chosen(manager: Visitor) -> None:
    page = manager.get("/settings/rules/new?place=branch:1")
    relay = BeautifulSoup(page.text, "html.parser").select_one('input[value="relay"]')
    assert relay is not None and relay.has_attr("disabled")
    assert "The portal's own relay is not set up." in said(page)


# Changing and dropping one


def test_a_rule_is_changed(app: Flask, manager: Visitor) -> None:
    number = add(app, "branch:1", "invoice", Mode.SPECIFIED, ACCOUNTS)
    page = manager.get(f"/settings/rules/{number}")
    assert f'<option value="{ACCOUNTS}" selected>' in page.text
    assert manager.post(f"/settings/rules/{number}", {"mode": "default"}).status_code == 303
    assert [one.mode for one in rules(app)] == [Mode.DEFAULT]


def test_what_somebody_else_stored_meanwhile_is_shown_and_nothing_is_lost(
    app: Flask, manager: Visitor
) -> None:
    number = add(app, "branch:1", "invoice", Mode.DEFAULT)
    soup = BeautifulSoup(manager.get(f"/settings/rules/{number}").text, "html.parser")
    seen = str(soup.select_one('[name="seen"]')["value"])  # type: ignore[index]
    add(app, "branch:1", "invoice", Mode.USER)
    form = {"mode": "specified", "listed": "", "typed": ACCOUNTS, "seen": seen}
    answer = manager.post(f"/settings/rules/{number}", form)
    assert answer.status_code == 409
    assert "Tom Baker changed this" in said(answer)
    assert f"Comes from whoever presses Send {ACCOUNTS}" in said(answer)
    assert [one.mode for one in rules(app)] == [Mode.USER]
    soup = BeautifulSoup(answer.text, "html.parser")
    assert soup.select_one("#typed")["value"] == ACCOUNTS  # type: ignore[index]
    form["seen"] = str(soup.select_one('[name="seen"]')["value"])  # type: ignore[index]
    assert manager.post(f"/settings/rules/{number}", form).status_code == 303
    assert [one.address for one in rules(app)] == [ACCOUNTS]


def test_the_companys_rule_tells_of_somebody_else_too(app: Flask, manager: Visitor) -> None:
    form = {"mode": "default", "seen": "none"}
    add(app, "company", "", Mode.USER)
    answer = manager.post("/settings/send-from", form)
    assert answer.status_code == 409 and "Tom Baker changed this" in said(answer)
    assert [one.mode for one in rules(app)] == [Mode.USER]


def test_a_dropped_rule_lets_the_wider_one_hold(app: Flask, manager: Visitor) -> None:
    number = add(app, "branch:1", "invoice", Mode.USER)
    manager.post(f"/settings/rules/{number}/removal")
    page = manager.get("/settings/rules").text
    (notice,) = notices(page)
    assert "Invoices of the branch Newcastle now follow the next wider rule." in notice.text
    assert rules(app) == []
    assert manager.post(f"/settings/rules/{number}/removal").status_code == 303  # a second tap
    assert manager.get(f"/settings/rules/{number}").status_code == 404


# What belongs to no single rule


def test_mixed_batches_and_choices_for_once_are_settings(app: Flask, manager: Visitor) -> None:
    form = {"mixed_batches": "company", "one_off": "everyone", "version": "1"}
    assert manager.post("/settings/rules/options", form).status_code == 303
    with app.app_context():
        company = db.session.scalars(select(Company)).one()
        assert (company.mixed_batches, company.one_off) == ("company", "everyone")
    assert "Another sender for once: Everybody who signs in." in manager.words("/settings/rules")
    late = {"mixed_batches": "each", "one_off": "managers", "version": "1"}
    answer = manager.post("/settings/rules/options", late)
    assert answer.status_code == 409 and "changed this" in said(answer)
    assert manager.post("/settings/rules/options", {"version": "2"}).status_code == 422


# The simulator


def test_the_simulator_answers_in_one_sentence_and_marks_the_rung(
    app: Flask, manager: Visitor
) -> None:
    add(app, "branch:1", "invoice", Mode.SPECIFIED, TOM)
    add(app, "company", "", Mode.USER)
    page = manager.get("/settings/simulator?kind=invoice&property=1")
    assert f"An invoice for 12 Hill St, sent by Olive Park, comes from {TOM}." in said(page)
    assert f"Rule for the branch Newcastle: invoices come from {TOM}." in said(page)
    assert rung(page.text).startswith(f"Branch Newcastle Decides Invoices come from {TOM}.")
    page = manager.get("/settings/simulator?kind=quote&property=1")
    assert "A quote for 12 Hill St, sent by Olive Park, comes from olive@" in said(page)
    assert rung(page.text).startswith("Company Decides Every document comes from whoever presses")


def test_the_simulator_asks_for_another_person(app: Flask, manager: Visitor) -> None:
    add(app, "company", "", Mode.USER)
    with app.app_context():
        number = tom().id
    page = manager.words(f"/settings/simulator?person={number}")
    assert f"An invoice, sent by Tom Baker, comes from {TOM}." in page


def test_the_simulator_shows_what_keeps_a_document_from_leaving(
    app: Flask, manager: Visitor
) -> None:
    add(app, "company", "", Mode.ACCOUNT_MANAGER)
    answer = manager.get("/settings/simulator?place=property:2")
    page = said(answer)
    assert "That is Nia Cole." in page and "Not ready yet No connected mailbox may send as" in page
    assert "/mailboxes/1/addresses/new?email=nia@brightspark.example" in answer.text
    with app.app_context():
        end(nia())
    answer = manager.get("/settings/simulator?place=property:2")
    assert "Nia Cole, the account manager of 9 Quay St, no longer works here." in said(answer)
    assert 'href="/properties/2/edit"' in answer.text
    page = manager.words("/settings/simulator")
    assert "comes from nobody yet." in page
    assert "This document has no property, so no account manager." in page


def test_the_simulator_finds_a_place_while_one_types(manager: Visitor) -> None:
    page = manager.get("/settings/simulator?kind=quote&q=quay", htmx=True)
    assert "<html" not in page.text
    assert "place=property:2" in page.text and "kind=quote" in page.text
    assert "place=branch:2" in manager.get("/settings/simulator?q=gos").text
    assert "place=customer:1" in manager.get("/settings/simulator?q=mary").text


def test_the_simulator_knows_a_batch_over_several_branches(app: Flask, manager: Visitor) -> None:
    add(app, "branch:1", "", Mode.USER)
    asked = "/settings/simulator?place=branch:1&several=1"
    assert rung(manager.get(asked).text).startswith("Branch Newcastle")
    with app.app_context():
        db.session.scalars(select(Company)).one().mixed_batches = "company"
        db.session.commit()
    page = manager.get(asked)
    assert rung(page.text).startswith("Company Decides No rule is made")
    assert "Left aside" in said(page) and f"comes from {OFFICE}." in said(page)


@pytest.mark.parametrize(
    "asked", ["?kind=parcel", "?place=property:99", "?person=99&property=x", "?customer=1&q=%00"]
)
def test_the_simulator_answers_whatever_is_asked(manager: Visitor, asked: str) -> None:
    assert manager.get(f"/settings/simulator{asked}").status_code == 200


def test_the_place_of_a_rule_keeps_its_name(app: Flask, manager: Visitor) -> None:
    with app.app_context():
        number = mary().id
    add(app, f"customer:{number}", "", Mode.DEFAULT)
    assert "Customer Mary Lee Every document The company mailbox Ready" in (
        manager.words("/settings/rules")
    )
    assert [one.scope for one in rules(app)] == [Scope.CUSTOMER]
