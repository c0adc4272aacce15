"""How should invoices be sent? The three approaches, each set up from one page."""

import pytest
from bs4 import BeautifulSoup
from flask import Flask

from portal import accounts, policy
from portal.extensions import db
from portal.mailboxes import Address
from portal.people import contact_with
from portal.senders import Mode
from tests.factories import ACCOUNTS, OFFICE, contact, nia, office_mailbox, olive, site, tom
from tests.visitor import Visitor, said, visitor

pytestmark = pytest.mark.sqlite_only

PAGE = "/settings/approaches"


@pytest.fixture
def manager(app: Flask) -> Visitor:
    with app.app_context():
        office_mailbox()
        db.session.remove()
    return visitor(app, olive)


@pytest.fixture
def properties(app: Flask, manager: Visitor) -> None:
    """One of Tom's, who is ready, one of Nia's, who is not, one of nobody's."""
    with app.app_context():
        for name, who in (("12 Hill St", tom()), ("9 Quay St", nia()), ("3 Bay St", None)):
            site(name, manager=who)
        db.session.remove()


def test_the_three_stand_side_by_side_and_the_first_is_recommended(manager: Visitor) -> None:
    page = manager.words(PAGE)
    assert "1 The Accounting Department sends Best practice" in page
    assert "3 The portal’s own relay sends Not recommended" in page
    assert "It cannot be chosen: no relay is set up here." in page
    assert f"None of the three is in use. Company rule: every document comes from the company mailbox. That is {OFFICE}." in page  # fmt: skip  # noqa: E501


def test_approach_1_is_set_up_from_one_form(app: Flask, manager: Visitor) -> None:
    form = BeautifulSoup(manager.get(f"{PAGE}/accounting").text, "html.parser")
    usual = {one["name"]: one.get("value", "") for one in form.select("main form input[name]")}
    assert (usual["name"], usual["email"]) == ("Accounting Department", ACCOUNTS)
    answer = manager.post(f"{PAGE}/accounting", {"name": usual["name"], "email": usual["email"]})
    assert answer.location == f"{PAGE}/accounting"
    page = manager.get(f"{PAGE}/accounting")
    assert "What is left to do" in said(page) and f"Verify {ACCOUNTS}" in said(page)
    assert f"/mailboxes/1/addresses/new?email={ACCOUNTS}" in page.text
    with app.app_context():
        made = contact_with(ACCOUNTS)
        assert made is not None and accounts.with_email(ACCOUNTS) is not None
        rule = policy.rule("invoice")
        assert rule is not None and rule.address == ACCOUNTS
    assert "1 The Accounting Department sends In use now" in manager.words(PAGE)


def test_approach_1_leads_to_the_test_once_the_address_is_verified(
    app: Flask, manager: Visitor
) -> None:
    manager.post(f"{PAGE}/accounting", {"name": "Accounts", "email": ACCOUNTS})
    with app.app_context():
        db.session.query(Address).filter_by(email=ACCOUNTS).one().verification = "accepted"
        db.session.commit()
    page = manager.words(f"{PAGE}/accounting")
    assert "Everything is ready" in page and "Make the test round" in page
    assert "Set it up" in manager.words(f"{PAGE}/accounting?again=1")


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"name": "", "email": ACCOUNTS}, "Write a name."),
        ({"name": "Accounts", "email": ""}, "Write the address invoices should come from."),
        ({"name": "Accounts", "email": "accounts at work"}, "is not an e-mail address"),
    ],
)
def test_approach_1_refused_keeps_what_was_typed(
    app: Flask, manager: Visitor, form: dict[str, str], sentence: str
) -> None:
    answer = manager.post(f"{PAGE}/accounting", form)
    assert answer.status_code == 422 and sentence in said(answer)
    assert f'value="{form["email"]}"' in answer.text
    with app.app_context():
        assert policy.rules() == [] and contact_with(ACCOUNTS) is None


def test_approach_1_names_who_holds_the_address(app: Flask, manager: Visitor) -> None:
    with app.app_context():
        number = contact(business="Harbour Strata", email=ACCOUNTS).id
        db.session.remove()
    answer = manager.post(f"{PAGE}/accounting", {"name": "Accounts", "email": ACCOUNTS})
    assert answer.status_code == 422
    assert f"{ACCOUNTS} belongs to Harbour Strata, who is not an employee." in said(answer)
    assert f'href="/contacts/{number}/edit"' in answer.text


@pytest.mark.usefixtures("properties")
def test_approach_2_tells_who_is_ready_and_what_to_do(app: Flask, manager: Visitor) -> None:
    page = manager.get(f"{PAGE}/managers")
    words = said(page)
    assert "1 property of 3 could send now." in words
    assert "Nia Cole 1 nia@brightspark.example Not ready" in words
    assert "Tom Baker 1 tom@brightspark.example Ready" in words
    assert "Nobody 1 nobody Not ready Name an account manager on each." in words
    assert "/mailboxes/1/addresses/new?email=nia@brightspark.example" in page.text
    assert "/properties?manager=none" in page.text
    with app.app_context():
        accounts.end(tom())
        number = tom().id
    page = manager.get(f"{PAGE}/managers")
    assert "Tom Baker 1 tom@brightspark.example No longer works here" in said(page)
    assert f"/properties?manager={number}" in page.text


@pytest.mark.usefixtures("properties")
def test_approach_2_is_one_button(app: Flask, manager: Visitor) -> None:
    assert manager.post(f"{PAGE}/managers").location == f"{PAGE}/managers"
    page = manager.words(f"{PAGE}/managers")
    assert "2 properties are not ready yet: their invoices wait." in page
    assert "In use for the company’s invoices" in page
    assert "Let account managers send invoices" not in page
    with app.app_context():
        assert [(one.kind, one.mode) for one in policy.rules()] == [
            ("invoice", Mode.ACCOUNT_MANAGER)
        ]
    for path in (PAGE, "/settings", "/settings/send-from", "/settings/send-from/invoice"):
        assert manager.get(path).status_code == 200


@pytest.mark.usefixtures("properties")
def test_the_mode_can_be_chosen_for_the_company_too(app: Flask, manager: Visitor) -> None:
    assert "1 of 2 account managers ready" in manager.words("/settings/send-from")
    manager.post("/settings/send-from", {"mode": "account_manager"})
    page = manager.words("/settings/send-from")
    assert "Every document now comes from the property's account manager." in page
    assert "2 of 3 properties are not ready yet." in page


def test_without_properties_approach_2_points_to_them(manager: Visitor) -> None:
    page = manager.words(f"{PAGE}/managers")
    assert "No properties yet" in page and "Let account managers send" not in page


def test_approach_3_has_no_button(manager: Visitor) -> None:
    soup = BeautifulSoup(manager.get(PAGE).text, "html.parser")
    relay = soup.select(".approach")[2]
    assert relay.select("a, button") == []
    assert manager.post("/settings/send-from/invoice", {"mode": "relay"}).status_code == 400
