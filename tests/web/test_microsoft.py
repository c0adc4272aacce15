"""A mailbox of Microsoft 365 on the pages: chosen, connected, its addresses tried."""

from urllib.parse import urlsplit

import pytest
from flask import Flask
from sqlalchemy import update
from werkzeug.test import TestResponse

from portal import delivery
from portal.config import Config
from portal.dispatch import Dispatch
from portal.extensions import db
from portal.mailboxes import Mailbox
from portal.sandbox.microsoft import MicrosoftServer
from tests import servers
from tests.factories import ACCOUNTS, OFFICE, asked, olive, tom
from tests.office365 import Microsoft
from tests.sandbox.visitor import Visitor as Person
from tests.visitor import Visitor, said, visitor

pytestmark = pytest.mark.sqlite_only


@pytest.fixture
def microsoft(local_microsoft: MicrosoftServer) -> Microsoft:
    found = Microsoft(local_microsoft.url)
    found.steer(send_delay=0.0)
    return found


@pytest.fixture
def config(database: str, redis_url: str, microsoft: Microsoft) -> Config:
    return servers.config_of(DATABASE_URL=database, REDIS_URL=redis_url, **microsoft.settings)


@pytest.fixture
def manager(app: Flask) -> Visitor:
    return visitor(app, olive)


def set_out(who: Visitor, **form: object) -> TestResponse:
    wish = {"purpose": "company", "level": "full", "kind": "microsoft", **form}
    return who.post("/mailboxes/connections", wish)


def consent(answer: TestResponse, microsoft: Microsoft, who: str, press: str = "Accept") -> str:
    """What a person does at Microsoft; the path and query they are sent back with."""
    assert answer.status_code == 302, said(answer)
    there = Person(microsoft.url)
    there.open(answer.location)
    there.press(who)
    if there.left_for is None:
        there.press(press)
    assert there.left_for
    back = urlsplit(there.left_for)
    return f"{back.path}?{back.query}"


def connect(manager: Visitor, microsoft: Microsoft) -> TestResponse:
    return manager.get(consent(set_out(manager), microsoft, "office@"))


def test_who_runs_the_mailbox_is_chosen_first(manager: Visitor) -> None:
    page = manager.words("/mailboxes/new")
    assert "Google Gmail and Google Workspace" in page and "Microsoft 365 Outlook" in page
    assert "Continue to Google" in page
    page = manager.words("/mailboxes/new?kind=microsoft")
    assert "Continue to Microsoft" in page and "Ask the administrator" in page
    assert "Continue to Google" not in page


def test_without_a_registration_the_page_says_how_to_make_one(app: Flask, manager: Visitor) -> None:
    config: Config = app.config["PORTAL"]
    app.config["PORTAL"] = config.model_copy(update={"MICROSOFT_CLIENT_ID": ""})
    page = manager.words("/mailboxes/new?kind=microsoft")
    assert f"{config.PUBLIC_URL}/microsoft/callback" in page
    assert f"{config.PUBLIC_URL}/microsoft/approved" in page
    assert "Continue to Microsoft" not in page
    assert set_out(manager).location == "/mailboxes/new?purpose=company&kind=microsoft"


def test_a_mailbox_is_connected_and_its_other_addresses_are_to_be_tried(
    app: Flask, manager: Visitor, microsoft: Microsoft
) -> None:
    answer = connect(manager, microsoft)
    assert (answer.status_code, answer.location) == (303, "/settings")
    page = manager.words("/settings")
    assert f"Connected: {OFFICE}" in page and "Microsoft 365 keeps no list" in page
    assert "quotes@brightspark.example Not tried yet Try it" in page
    with app.app_context():
        box = db.session.query(Mailbox).one()
        assert (box.provider, box.is_company_default) == ("microsoft", True)


def test_an_address_is_added_tried_and_offered_for_use(
    app: Flask, manager: Visitor, microsoft: Microsoft
) -> None:
    connect(manager, microsoft)
    here = manager.post("/mailboxes/1/addresses", {"email": ACCOUNTS}).location
    assert "Not tried yet" in manager.words(here)
    manager.post(f"{here}/tryouts")
    assert "Trying it" in manager.words(here)
    with app.app_context():
        delivery.drain()
    page = manager.words(here)
    assert "It works" in page and "Use it: send invoices from it" in page
    assert f"{ACCOUNTS} Tried, it works" in manager.words("/settings")


def test_what_is_not_allowed_says_what_its_administrator_can_do(
    app: Flask, manager: Visitor, microsoft: Microsoft
) -> None:
    connect(manager, microsoft)
    here = manager.post("/mailboxes/1/addresses", {"email": "tom@brightspark.example"}).location
    manager.post(f"{here}/tryouts")
    with app.app_context():
        delivery.drain()
    page = manager.words(here)
    assert "Not allowed" in page and "the right Send as" in page


def test_an_alias_that_was_replaced_is_told_with_the_surer_way(
    app: Flask, manager: Visitor, microsoft: Microsoft
) -> None:
    connect(manager, microsoft)
    here = manager.post("/mailboxes/1/addresses", {"email": "quotes@brightspark.example"}).location
    manager.post(f"{here}/tryouts")
    with app.app_context():
        delivery.drain()
    page = manager.words(here)
    assert "Another address was put in its place" in page and "shared mailbox" in page


def test_where_only_an_administrator_may_allow_it_there_is_a_link_to_send(
    app: Flask, manager: Visitor, microsoft: Microsoft
) -> None:
    microsoft.tell("tenants", domain="brightspark.example", users_consent=False)
    answer = manager.get(consent(set_out(manager), microsoft, "office@", "Return to"))
    assert answer.status_code == 403
    assert "lets only an administrator" in said(answer) and "/adminconsent?" in answer.text
    assert "Nothing was changed" in said(answer)
    assert "/adminconsent?" in manager.get("/microsoft/approval").text
    anybody = app.test_client()  # the administrator needs nothing of the portal's
    assert "Thank you" in said(anybody.get("/microsoft/approved?admin_consent=True&tenant=x"))
    refused = anybody.get("/microsoft/approved?error=permission_denied&admin_consent=True")
    assert refused.status_code == 400 and "It was not allowed" in said(refused)


def test_an_account_without_a_mailbox_is_told_what_to_do(
    manager: Visitor, microsoft: Microsoft
) -> None:
    answer = manager.get(consent(set_out(manager), microsoft, "apprentice@"))
    assert answer.status_code == 400
    assert "has no mailbox" in said(answer) and "Sign in with an account" in said(answer)


def test_one_providers_return_does_not_end_anothers_journey(
    manager: Visitor, microsoft: Microsoft
) -> None:
    back = consent(set_out(manager), microsoft, "office@")
    astray = manager.get(back.replace("/microsoft/", "/google/"))
    assert astray.status_code == 400 and "was not started here" in said(astray)
    assert manager.get(back).status_code == 303


def test_disconnecting_says_where_to_take_the_rest_back(
    manager: Visitor, microsoft: Microsoft
) -> None:
    connect(manager, microsoft)
    assert "takes nothing back from a program" in manager.words("/mailboxes/1/disconnection")
    manager.post("/mailboxes/1/disconnection")
    assert "myapps.microsoft.com" in manager.words("/settings")


def test_addresses_are_for_whoever_manages_the_mailbox(
    app: Flask, manager: Visitor, microsoft: Microsoft
) -> None:
    connect(manager, microsoft)
    here = manager.post("/mailboxes/1/addresses", {"email": ACCOUNTS}).location
    worker = visitor(app, tom)
    assert worker.get(here).status_code == 403
    assert worker.post(f"{here}/tryouts").status_code == 403
    assert microsoft.accepted() == []


def test_what_is_unclear_is_looked_for_in_outlook(
    app: Flask, manager: Visitor, microsoft: Microsoft
) -> None:
    connect(manager, microsoft)
    microsoft.fault("messages.send", "swallow")
    with app.app_context():
        one = asked().id
        delivery.drain()
        db.session.execute(update(Dispatch).values(state="unknown", needs_person=True))
        db.session.commit()
    page = manager.get(f"/dispatches/{one}")
    assert f"/mail/{OFFICE}/sentitems" in page.text and "Look in Outlook" in said(page)
