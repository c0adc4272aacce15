"""Connecting a mailbox, taking it back, and adding the addresses it sends from."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from portal import dispatch, mailboxes, policy
from portal.config import Config
from portal.dispatch import Dispatch, State
from portal.extensions import db
from portal.mailboxes import Address, Health, Mailbox
from portal.providers.gmail import PERMISSIONS, SEND_ONLY_SCOPES
from portal.providers.provider import Access
from portal.sandbox.scopes import MAIL
from portal.sandbox.server import SandboxServer
from portal.senders import Mode
from tests import servers
from tests.factories import ACCOUNTS, OFFICE, asked, connected, document, nia, olive, tom
from tests.visitor import Visitor, said, visitor

pytestmark = pytest.mark.sqlite_only

TOM, OLIVE, NIA = (f"{who}@brightspark.example" for who in ("tom", "olive", "nia"))


@pytest.fixture
def config(database: str, redis_url: str, local_google: SandboxServer) -> Config:
    """A portal that talks to a local Google of this test's own."""
    google = servers.pointed_at(local_google.url)
    return servers.config_of(DATABASE_URL=database, REDIS_URL=redis_url, **google)


@pytest.fixture
def manager(app: Flask) -> Visitor:
    return visitor(app, olive)


@pytest.fixture
def office(app: Flask, local_google: SandboxServer) -> int:
    """The company's mailbox, connected at the full level; its id."""
    with app.app_context():
        olive()
        return connected(local_google.url).id


def consent(
    google: TestResponse, email: str = OFFICE, untick: tuple[str, ...] = (), decision: str = "allow"
) -> str:
    """What a person does at Google; the path and query they are sent back with."""
    assert google.status_code == 302, said(google)
    asked_for = dict(parse_qsl(urlsplit(google.location).query))
    granted = [one for one in asked_for["scope"].split() if not one.endswith(untick or ("-",))]
    form = {**asked_for, "account": email, "decision": decision, "granted": granted}
    page = urlsplit(google.location)
    answer = requests.post(
        f"{page.scheme}://{page.netloc}{page.path}/consent",
        data=form,
        allow_redirects=False,
        timeout=5,
    )
    back = urlsplit(answer.headers["Location"])
    return f"{back.path}?{back.query}"


def set_out(who: Visitor, **form: Any) -> TestResponse:
    return who.post("/mailboxes/connections", {"purpose": "company", "level": "full", **form})


def come_back(who: Visitor, **how: Any) -> TestResponse:
    return who.get(consent(set_out(who), **how))


def boxes(app: Flask) -> list[Mailbox]:
    with app.app_context():
        return list(db.session.scalars(select(Mailbox)).unique())


def states(app: Flask) -> dict[str, str]:
    with app.app_context():
        return {one.email: one.verification for one in db.session.scalars(select(Address)).unique()}


def held_from(email: str) -> int:
    """A dispatch that waits for an address; its id."""
    policy.set_rule(policy.EVERY_KIND, Mode.SPECIFIED, email)
    made = asked(document(), tom())
    assert made.state == State.HELD
    return made.id


def state_of(app: Flask, dispatch_id: int) -> str:
    with app.app_context():
        return db.session.get_one(Dispatch, dispatch_id).state


# Connecting


def test_before_leaving_the_page_says_what_google_will_show(manager: Visitor) -> None:
    page = manager.words("/mailboxes/new")
    for words in (
        "Google hasn’t verified this app",
        "Advanced",
        "Leave every box ticked",
        "Send and prove",
        "Send only",
        "the From is not proven",
        "“less secure apps”. That page no longer exists",
    ):
        assert words in page


def test_a_mailbox_is_connected_and_its_addresses_are_read(app: Flask, manager: Visitor) -> None:
    answer = come_back(manager)
    assert (answer.status_code, answer.location) == (303, "/settings")
    page = manager.words("/settings")
    assert f"Connected: {OFFICE}. Next: open a document and send a test to yourself." in page
    assert f"{TOM} Verified Ready to send from" in page
    (box,) = boxes(app)
    assert box.is_company_default
    assert box.owner_id is None


def test_the_way_back_is_the_portals_own_address_whatever_the_browser_says(
    manager: Visitor, config: Config
) -> None:
    answer = set_out(manager, level="full")
    manager.client.environ_base["HTTP_HOST"] = "evil.example"
    told = [dict(parse_qsl(urlsplit(one.location).query)) for one in (answer, set_out(manager))]
    for one in told:
        assert one["redirect_uri"] == f"{config.PUBLIC_URL}/google/callback"
        assert one["code_challenge_method"] == "S256"
        assert one["access_type"] == "offline"
    assert told[0]["state"] != told[1]["state"]


def test_mail_that_waited_for_the_mailbox_goes_out(app: Flask, manager: Visitor) -> None:
    with app.app_context():
        waiting = held_from(TOM)
    come_back(manager)
    assert state_of(app, waiting) == State.QUEUED
    assert "1 message that was on hold is on the way." in manager.words("/settings")


def test_a_list_that_may_no_longer_be_read_is_not_shown(app: Flask, manager: Visitor) -> None:
    come_back(manager)
    assert "tom@brightspark.example Verified" in manager.words("/settings")
    again = set_out(manager, purpose="reconnect", mailbox_id=boxes(app)[0].id)
    manager.get(consent(again, untick=("settings.basic",)))
    page = manager.words("/settings")
    assert "only its own address is known" in page
    assert f"{OFFICE} Verified" in page and "tom@brightspark.example Verified" not in page


def test_who_lets_the_portal_read_why_mail_came_back_keeps_that_by_signing_in_again(
    app: Flask, manager: Visitor
) -> None:
    come_back(manager)
    assert "Let the portal read why mail came back" in manager.words("/settings")
    again = {"purpose": "reconnect", "mailbox_id": boxes(app)[0].id}
    manager.get(consent(set_out(manager, **again, level="whole")))
    for _ in range(2):
        (box,) = boxes(app)
        assert box.abilities.incoming is Access.WHOLE and not box.missing_scopes
        page = manager.words("/settings")
        assert "Whole messages are read" in page and "tom@brightspark.example Verified" in page
        assert "Let the portal read why" not in page and "left unticked" not in page
        manager.get(consent(set_out(manager, **again)))


def test_the_local_google_names_its_boxes_as_the_portal_does() -> None:
    assert {scope: one.asked for scope, one in PERMISSIONS.items()}.items() <= MAIL.items()


def test_a_box_left_unticked_is_named_with_one_button_to_go_again(
    app: Flask, manager: Visitor
) -> None:
    come_back(manager, untick=("settings.basic",))
    page = manager.get("/settings")
    assert "A box was left unticked" in said(page)
    assert "the portal cannot see which send-from addresses are verified" in said(page)
    assert page.text.count("Choose permissions again") == 1
    again = set_out(manager, purpose="reconnect", mailbox_id=boxes(app)[0].id)
    assert f"login_hint={OFFICE.replace('@', '%40')}" in again.location
    manager.get(consent(again))
    assert "unticked" not in manager.words("/settings")


def test_without_the_permission_to_send_the_mailbox_says_so(app: Flask, manager: Visitor) -> None:
    come_back(manager, untick=("compose",))
    assert boxes(app)[0].health == Health.PERMISSION_MISSING
    page = manager.words("/settings")
    assert "it may not send yet" in page
    assert "Can it send? No" in page


def test_send_only_is_told_honestly(app: Flask, manager: Visitor) -> None:
    answer = set_out(manager, level="send")
    assert dict(parse_qsl(urlsplit(answer.location).query))["scope"] == " ".join(SEND_ONLY_SCOPES)
    manager.get(consent(answer))
    page = manager.words("/settings")
    assert "Connected to send only" in page
    assert "unticked" not in page
    assert boxes(app)[0].health == Health.CONNECTED


def test_another_account_than_the_one_reconnected_is_refused_and_changes_nothing(
    app: Flask, manager: Visitor, office: int
) -> None:
    before = row(app, office)
    answer = manager.get(
        consent(set_out(manager, purpose="reconnect", mailbox_id=office), email=OLIVE)
    )
    assert answer.status_code == 400
    assert f"You signed in as {OLIVE}, but this mailbox is {OFFICE}." in said(answer)
    assert answer.text.count(">Start again<") == 1
    assert row(app, office) == before
    assert len(boxes(app)) == 1


def row(app: Flask, mailbox_id: int) -> dict[str, Any]:
    with app.app_context():
        box = db.session.get_one(Mailbox, mailbox_id)
        return {name: getattr(box, name) for name in Mailbox.__table__.columns.keys()}  # noqa: SIM118


@contextmanager
def refused_with(app: Flask, sentence: str) -> Iterator[list[TestResponse]]:
    answers: list[TestResponse] = []
    yield answers
    (answer,) = answers
    assert answer.status_code == 400
    assert sentence in said(answer)
    assert "othing was changed" in said(answer)
    assert answer.text.count(">Start again<") == 1
    assert not boxes(app)


def test_a_return_without_a_state_counts_for_nothing(app: Flask, manager: Visitor) -> None:
    with refused_with(app, "did not say which sign-in it belongs to") as answers:
        answers.append(manager.get("/google/callback?code=stolen"))


def test_a_made_up_state_counts_for_nothing(app: Flask, manager: Visitor) -> None:
    with refused_with(app, "was not started here") as answers:
        answers.append(manager.get("/google/callback?state=guessed&code=stolen"))


def test_somebody_elses_return_counts_for_nothing(app: Flask, manager: Visitor) -> None:
    back = consent(set_out(manager))
    with refused_with(app, "was not started here") as answers:
        answers.append(visitor(app, tom).get(back))


def test_a_return_to_somebody_who_signed_in_since_counts_for_nothing(
    app: Flask, manager: Visitor
) -> None:
    """The journey is bound to the person as well as to the browser."""
    back = consent(set_out(manager))
    with app.app_context():
        stranger = tom().get_id()
    with manager.client.session_transaction() as session:
        session["_user_id"] = stranger
    with refused_with(app, "Somebody else started this sign-in") as answers:
        answers.append(manager.get(back))


def test_a_return_after_more_than_an_hour_counts_for_nothing(app: Flask, manager: Visitor) -> None:
    back = consent(set_out(manager))
    with manager.client.session_transaction() as session:
        for journey in session["journeys"].values():
            journey["began"] = time.time() - 3601
        session.modified = True
    with refused_with(app, "More than an hour passed") as answers:
        answers.append(manager.get(back))


def test_a_return_counts_only_once(app: Flask, manager: Visitor) -> None:
    back = consent(set_out(manager))
    assert manager.get(back).status_code == 303
    before = row(app, 1)
    again = manager.get(back)
    assert again.status_code == 400
    assert "was used before" in said(again)
    assert row(app, 1) == before


def test_who_says_no_at_google_has_changed_nothing(app: Flask, manager: Visitor) -> None:
    with refused_with(app, "You did not allow the connection") as answers:
        answers.append(come_back(manager, decision="cancel"))


def test_a_code_that_google_does_not_know_is_refused(app: Flask, manager: Visitor) -> None:
    back = re.sub(r"code=[^&]+", "code=made-up", consent(set_out(manager)))
    with refused_with(app, "Google's answer had expired or was used before") as answers:
        answers.append(manager.get(back))


def test_google_out_of_reach_is_said_on_the_way_back(
    app: Flask, manager: Visitor, local_google: SandboxServer
) -> None:
    back = consent(set_out(manager))
    fault(local_google, kind="cut-before", method="token")
    with refused_with(app, "Google could not be reached") as answers:
        answers.append(manager.get(back))


def test_many_beginnings_do_not_outgrow_the_cookie(manager: Visitor) -> None:
    for _ in range(6):
        last = set_out(manager)
    cookie = manager.client.get_cookie("sendwright")
    assert cookie
    assert len(cookie.value) < 3000
    assert manager.get(consent(last)).status_code == 303


def fault(google: SandboxServer, **what: Any) -> None:
    answer = requests.post(f"{google.url}/_sandbox/faults", json=what, timeout=5)
    assert answer.ok, answer.text


def test_without_a_client_id_the_page_says_how_to_get_one(app: Flask, manager: Visitor) -> None:
    config: Config = app.config["PORTAL"]
    app.config["PORTAL"] = config.model_copy(update={"GOOGLE_CLIENT_ID": ""})
    page = manager.words("/mailboxes/new")
    assert "GOOGLE_CLIENT_ID" in page
    assert f"{config.PUBLIC_URL}/google/callback" in page
    assert "Continue to Google" not in page
    assert set_out(manager).location == "/mailboxes/new?purpose=company&kind=gmail"


# Who may


def test_only_a_manager_connects_for_the_company(app: Flask) -> None:
    worker = visitor(app, tom)
    assert worker.get("/mailboxes/new?purpose=company").status_code == 403
    assert set_out(worker).status_code == 403
    assert worker.get("/mailboxes/new").status_code == 200  # their own


def test_a_tradesperson_connects_and_disconnects_their_own(app: Flask, manager: Visitor) -> None:
    worker = visitor(app, tom)
    answer = worker.get(consent(set_out(worker, purpose="own"), email=TOM))
    assert answer.location == "/profile"
    page = worker.words("/profile")
    assert f"Connected: {TOM}." in page
    assert "through your own mailbox" in page
    (box,) = boxes(app)
    assert manager.get(f"/mailboxes/{box.id}/disconnection").status_code == 403
    assert set_out(manager, purpose="reconnect", mailbox_id=box.id).status_code == 403
    assert worker.post(f"/mailboxes/{box.id}/disconnection").location == "/profile"
    assert boxes(app)[0].health == Health.DISCONNECTED


def test_the_companys_account_cannot_become_somebodys_own(app: Flask, office: int) -> None:
    worker = visitor(app, tom)
    answer = worker.get(consent(set_out(worker, purpose="own")))
    assert answer.status_code == 400
    assert f"{OFFICE} is already connected, as the mailbox of the company." in said(answer)
    assert boxes(app)[0].owner_id is None


@pytest.mark.parametrize("path", ["disconnection", "addresses/new", "addresses/1"])
def test_the_companys_mailbox_is_none_of_the_staffs_business(
    app: Flask, office: int, path: str
) -> None:
    worker = visitor(app, nia)
    assert worker.get(f"/mailboxes/{office}/{path}").status_code == 403
    assert worker.post(f"/mailboxes/{office}/address-checks").status_code == 403


def test_forms_that_make_no_sense_are_refused(manager: Visitor, office: int) -> None:
    assert set_out(manager, purpose="fun").status_code == 400
    assert set_out(manager, level="everything").status_code == 400
    assert set_out(manager, purpose="reconnect").status_code == 400
    assert set_out(manager, mailbox_id=office).status_code == 400
    assert set_out(manager, purpose="reconnect", mailbox_id=999).status_code == 404
    assert manager.get(f"/mailboxes/{office}/addresses/999").status_code == 404


# Taking it back


def test_disconnecting_says_what_waits_and_keeps_it(
    app: Flask, manager: Visitor, office: int, local_google: SandboxServer
) -> None:
    with app.app_context():
        waiting = asked(document(), olive()).id
    page = manager.words(f"/mailboxes/{office}/disconnection")
    assert "1 message waits for this mailbox." in page
    assert "everything that this account ever allowed to your Google project" in page
    assert boxes(app)[0].health == Health.CONNECTED  # asking is not doing
    assert manager.post(f"/mailboxes/{office}/disconnection").location == "/settings"
    (box,) = boxes(app)
    assert box.refresh_token is None
    assert state_of(app, waiting) == State.HELD
    assert "1 message is safe and waits for this." in manager.words("/settings")
    manager.get(consent(set_out(manager, purpose="reconnect", mailbox_id=office)))
    assert state_of(app, waiting) == State.QUEUED


def test_disconnecting_the_default_mailbox_offers_another_default(
    app: Flask, manager: Visitor, office: int, local_google: SandboxServer
) -> None:
    confirmation = f"/mailboxes/{office}/disconnection"
    assert "the default" not in manager.words(confirmation)
    with app.app_context():
        other = connected(local_google.url, ACCOUNTS).id
    words = manager.words(confirmation)
    assert "New mail that comes from the company mailbox then waits" in words
    assert f"Make {ACCOUNTS} the default" in words
    assert "the default" not in manager.words(f"/mailboxes/{other}/disconnection")
    answer = manager.post(f"/mailboxes/{other}/default", {"next": confirmation})
    assert answer.location == confirmation
    assert "then waits" not in manager.words(confirmation)


def test_what_is_held_for_an_address_of_a_mailbox_waits_for_it_too(
    app: Flask, manager: Visitor, office: int
) -> None:
    with app.app_context():
        policy.set_rule(policy.EVERY_KIND, Mode.SPECIFIED, "new@brightspark.example")
        assert asked(document(), olive()).mailbox_id is None
    confirmation = f"/mailboxes/{office}/disconnection"
    assert "No message that is ready to leave waits" in manager.words(confirmation)
    with app.app_context():
        box = db.session.get_one(Mailbox, office)
        mailboxes.want_address(box, "new@brightspark.example")
    assert "1 message waits for this mailbox." in manager.words(confirmation)


def test_a_revoked_mailbox_asks_for_a_new_sign_in_and_gets_it(
    app: Flask, manager: Visitor, office: int, local_google: SandboxServer
) -> None:
    requests.post(f"{local_google.url}/_sandbox/revoke", json={"email": OFFICE}, timeout=5)
    manager.post(f"/mailboxes/{office}/address-checks")
    page = manager.words("/settings")
    assert "Needs you to sign in again" in page
    assert "The usual reasons: the Google password was changed" in page
    manager.get(consent(set_out(manager, purpose="reconnect", mailbox_id=office)))
    assert boxes(app)[0].health == Health.CONNECTED


def test_one_of_several_company_mailboxes_is_made_the_default(
    app: Flask, manager: Visitor, office: int, local_google: SandboxServer
) -> None:
    with app.app_context():
        other = connected(local_google.url, ACCOUNTS).id
    assert "Make it the default" in manager.words("/settings")
    manager.post(f"/mailboxes/{other}/default")
    assert [one.id for one in boxes(app) if one.is_company_default] == [other]


# Adding an address


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "Write the address."),
        ("accounts at brightspark", "is not an e-mail address"),
        ("accounts@ brightspark.example", "is not an e-mail address"),
        ("accounts@brightspark.example\nBcc: all@x.example", "has a line break in it"),
    ],
)
def test_an_address_that_is_none_is_told_beside_the_field(
    app: Flask, manager: Visitor, office: int, typed: str, sentence: str
) -> None:
    before = states(app)
    answer = manager.post(f"/mailboxes/{office}/addresses", {"email": typed})
    assert answer.status_code == 422
    assert sentence in said(answer)
    assert typed.split("\n")[0] in answer.text
    assert states(app) == before


def wanted(app: Flask, who: Visitor, office: int, email: str = ACCOUNTS) -> tuple[str, int]:
    """The walk-through page of a new address, and the address's id."""
    answer = who.post(f"/mailboxes/{office}/addresses", {"email": email})
    assert answer.status_code == 303
    return answer.location, int(answer.location.rsplit("/", 1)[1])


def test_the_walk_through_says_each_step(
    app: Flask, manager: Visitor, office: int, local_google: SandboxServer
) -> None:
    path, _ = wanted(app, manager, office, " Accounts@BrightSpark.example ")
    page = manager.get(path)
    for words in (
        "Accounts and Import",
        "Send mail as › Add another email address",
        "Next Step",
        "Send Verification",
        "Verify",
        "E-mail me these steps",
    ):
        assert words in said(page)
    assert f'data-copy="{ACCOUNTS}"' in page.text
    assert 'data-copy="Bright Spark Plumbing"' in page.text
    assert f'href="{local_google.url}/mail/u/{OFFICE}/#settings/accounts"' in page.text
    assert "SMTP server" not in said(page)


def test_an_address_of_another_domain_needs_its_own_server(
    app: Flask, manager: Visitor, office: int
) -> None:
    path, _ = wanted(app, manager, office, "bright@elsewhere.example")
    assert "SMTP server, user name and password" in manager.words(path)


def in_gmail(google: SandboxServer, status: str, email: str = ACCOUNTS) -> None:
    told = {"account": OFFICE, "email": email, "status": status}
    requests.post(f"{google.url}/_sandbox/aliases", json=told, timeout=5).raise_for_status()


def look(who: Visitor, office: int, address: int, tries: int = 0) -> TestResponse:
    return who.post(
        f"/mailboxes/{office}/address-checks", {"address": address, "tries": tries}, htmx=True
    )


def test_a_persons_tick_does_not_suggest_that_all_invoices_come_from_them(
    app: Flask, manager: Visitor, office: int, local_google: SandboxServer
) -> None:
    with app.app_context():
        nia()
    _, address = wanted(app, manager, office, NIA)
    assert "Nia Cole" in said(look(manager, office, address))
    in_gmail(local_google, "accepted", NIA)
    page = said(look(manager, office, address))
    assert f"{NIA} is verified" in page and "Nia Cole’s mail leaves from it" in page
    assert "send invoices from it" not in page


def test_the_tick_comes_by_itself_and_held_mail_goes_out(
    app: Flask, manager: Visitor, office: int, local_google: SandboxServer
) -> None:
    _, address = wanted(app, manager, office)
    with app.app_context():
        waiting = held_from(ACCOUNTS)
    assert "Not added in Gmail yet" in said(look(manager, office, address))
    in_gmail(local_google, "pending")
    page = look(manager, office, address)
    assert "Waiting to be confirmed" in said(page)
    assert 'hx-trigger="every 3s, submit"' in page.text
    assert state_of(app, waiting) == State.HELD
    in_gmail(local_google, "accepted")
    page = look(manager, office, address)
    assert f"{ACCOUNTS} is verified" in said(page)
    assert "Use it: send invoices from it" in said(page)
    assert 'hx-trigger="submit"' in page.text
    assert state_of(app, waiting) == State.QUEUED


@pytest.mark.parametrize(
    ("tries", "trigger"), [(5, "every 3s"), (30, "every 5s"), (99, "every 10s")]
)
def test_the_page_looks_less_often_the_longer_it_takes(
    app: Flask, manager: Visitor, office: int, tries: int, trigger: str
) -> None:
    _, address = wanted(app, manager, office)
    page = look(manager, office, address, tries)
    assert trigger in page.text
    assert f'name="tries" value="{tries + 1}"' in page.text


def test_the_page_stops_looking_in_the_end(app: Flask, manager: Visitor, office: int) -> None:
    _, address = wanted(app, manager, office)
    page = look(manager, office, address, 5000)
    assert 'hx-trigger="submit"' in page.text
    assert "Not watching any more" in said(page)
    assert "Check now" in said(page)


def test_after_two_minutes_the_spam_folder_is_named(
    app: Flask, manager: Visitor, office: int, local_google: SandboxServer
) -> None:
    path, address = wanted(app, manager, office)
    in_gmail(local_google, "pending")
    assert "spam" not in said(look(manager, office, address))
    with app.app_context():
        row = db.session.get_one(Address, address)
        row.since -= 2 * mailboxes.EARLY
        db.session.commit()
    assert f"Look in the spam folder of {ACCOUNTS}" in said(look(manager, office, address))
    assert f"Look in the spam folder of {ACCOUNTS}" in manager.words(path)


def test_without_script_a_button_does_the_same(
    app: Flask, manager: Visitor, office: int, local_google: SandboxServer
) -> None:
    path, address = wanted(app, manager, office)
    in_gmail(local_google, "accepted")
    assert "Not added in Gmail yet" in manager.words(path)  # reading asks nobody
    answer = manager.post(f"/mailboxes/{office}/address-checks", {"address": address})
    assert (answer.status_code, answer.location) == (303, path)
    assert f"{ACCOUNTS} is verified" in manager.words(path)


def test_while_google_is_away_the_page_says_so_and_goes_on(
    app: Flask, manager: Visitor, office: int, local_google: SandboxServer
) -> None:
    _, address = wanted(app, manager, office)
    fault(local_google, kind="503-before", method="*sendAs*")
    page = look(manager, office, address)
    assert page.status_code == 200
    assert "Gmail answered with an error of its own. We keep trying." in said(page)
    assert "every 3s" in page.text


def test_a_dead_sign_in_ends_the_looking(
    app: Flask, manager: Visitor, office: int, local_google: SandboxServer
) -> None:
    _, address = wanted(app, manager, office)
    requests.post(f"{local_google.url}/_sandbox/revoke", json={"email": OFFICE}, timeout=5)
    page = look(manager, office, address)
    assert "needs someone to sign in to Google again" in said(page)
    assert 'hx-trigger="submit"' in page.text


def test_an_address_gmail_no_longer_lists_is_shown_as_lost_and_can_be_forgotten(
    app: Flask, manager: Visitor, office: int, local_google: SandboxServer
) -> None:
    told = {"account": OFFICE, "email": TOM}
    requests.delete(f"{local_google.url}/_sandbox/aliases", json=told, timeout=5)
    manager.post(f"/mailboxes/{office}/address-checks")
    assert states(app)[TOM] == "lost"
    assert f"{TOM} No longer verified Add it in Gmail" in manager.words("/settings")
    with app.app_context():
        found = db.session.scalar(select(Address.id).where(Address.email == TOM))
    manager.post(f"/mailboxes/{office}/addresses/{found}/removal")
    assert TOM not in states(app)


def test_an_address_in_use_is_not_forgotten(app: Flask, manager: Visitor, office: int) -> None:
    with app.app_context():
        found = db.session.scalar(select(Address.id).where(Address.email == TOM))
    manager.post(f"/mailboxes/{office}/addresses/{found}/removal")
    assert states(app)[TOM] == "accepted"


@pytest.mark.parametrize("email", [TOM, OFFICE])
def test_an_address_gmail_replaced_is_used_again_only_once_somebody_says_so(
    app: Flask, manager: Visitor, office: int, email: str
) -> None:
    with app.app_context():
        mailboxes.mistrust(office, email)
        db.session.commit()
        found = db.session.scalar(select(Address.id).where(Address.email == email))
    manager.post(f"/mailboxes/{office}/address-checks")
    assert states(app)[email] == "mistrusted"
    assert "I have looked into it, use it again" in manager.words("/settings")
    assert visitor(app, tom).post(f"/mailboxes/{office}/addresses/{found}/trust").status_code == 403
    manager.post(f"/mailboxes/{office}/addresses/{found}/trust")
    assert states(app)[email] == "accepted"


def test_an_address_gmail_lists_no_more_is_not_called_used_again(
    app: Flask, manager: Visitor, office: int, local_google: SandboxServer
) -> None:
    with app.app_context():
        mailboxes.mistrust(office, TOM)
        db.session.commit()
        found = db.session.scalar(select(Address.id).where(Address.email == TOM))
    told = {"account": OFFICE, "email": TOM}
    requests.delete(f"{local_google.url}/_sandbox/aliases", json=told, timeout=5).raise_for_status()
    manager.post(f"/mailboxes/{office}/addresses/{found}/trust")
    assert states(app)[TOM] == "wanted"
    assert "is used again" not in manager.words("/settings")


def test_how_much_waits_is_told_to_who_can_put_it_right(
    app: Flask, manager: Visitor, office: int
) -> None:
    with app.app_context():
        asked(document(), olive())
        assert dispatch.waiting_for(office) == 1
    assert "Waiting 1 message" in manager.words("/settings")
