"""A mailbox connected by a link: the person's own, once, and nothing else with it."""

import re
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from portal import accounts, links, mailboxes
from portal.columns import now
from portal.config import Config
from portal.extensions import db
from portal.links import Link, Purpose
from portal.mailboxes import Mailbox
from portal.sandbox.server import SandboxServer
from tests import servers
from tests.factories import OFFICE, connected, nia, olive, tom
from tests.visitor import Visitor, said, token_in, visitor
from tests.web.test_mailboxes import consent
from tests.web.test_users import Guest

pytestmark = pytest.mark.sqlite_only

TOM, NIA = "tom@brightspark.example", "nia@brightspark.example"


@pytest.fixture
def config(database: str, redis_url: str, local_google: SandboxServer) -> Config:
    google = servers.pointed_at(local_google.url)
    return servers.config_of(DATABASE_URL=database, REDIS_URL=redis_url, **google)


@pytest.fixture
def link(app: Flask) -> str:
    """The address of a link for Tom's mailbox."""
    with app.app_context():
        return f"/links/mailbox/{links.make(Purpose.MAILBOX, tom(), olive())}"


def owners(app: Flask) -> dict[str, int | None]:
    with app.app_context():
        return {one.email: one.owner_id for one in db.session.scalars(select(Mailbox)).unique()}


def go(guest: Visitor, link: str, **how: Any) -> TestResponse:
    """To Google by the link, and back."""
    return guest.get(consent(guest.post(link), **how))


def id_of_tom(app: Flask) -> int:
    with app.app_context():
        return tom().id


def test_tom_connects_his_mailbox_without_signing_in(app: Flask, link: str) -> None:
    guest = Guest(app)
    page = guest.get(link)
    assert "Tom Baker" in said(page) and "Leave every box ticked." in said(page)
    back = go(guest, link, email=TOM)
    assert back.location == "/links/connected"
    assert f"Connected: {TOM}." in said(guest.get(back.location))
    assert owners(app) == {TOM: id_of_tom(app)}
    assert "/sign-in" in guest.get("/profile").location  # it opened nothing else
    assert "/sign-in" in guest.get("/google/callback?state=x").location


def test_the_link_counts_once_and_only_when_a_mailbox_came_of_it(app: Flask, link: str) -> None:
    guest = Guest(app)
    token = token_in(guest.get(link).text)
    refused = go(guest, link, email=TOM, decision="deny")
    assert refused.status_code == 400 and "open the link in your mail once more" in said(refused)
    assert go(guest, link, email=TOM).location == "/links/connected"
    again = Guest(app).get(link)
    assert again.status_code == 410 and "used before" in said(again)
    assert guest.client.post(link, data={"csrf_token": token}).status_code == 410


def test_somebody_elses_mailbox_is_refused_and_uses_nothing_up(
    app: Flask, link: str, local_google: SandboxServer
) -> None:
    with app.app_context():
        connected(local_google.url)
        connected(local_google.url, NIA, owner=nia())
    before = owners(app)
    for email, whose in ((OFFICE, "the company"), (NIA, "Nia Cole")):
        answer = go(Guest(app), link, email=email)
        assert f"already connected, as the mailbox of {whose}" in said(answer)
    assert owners(app) == before
    assert go(Guest(app), link, email=TOM).location == "/links/connected"


def test_a_broken_mailbox_is_mended_with_its_own_account_alone(
    app: Flask, link: str, local_google: SandboxServer
) -> None:
    with app.app_context():
        box = connected(local_google.url, TOM, owner=tom())
        box.health = "needs_sign_in"
        db.session.commit()
    assert "Sign in to Google again" in said(Guest(app).get(link))
    wrong = go(Guest(app), link, email=NIA)
    assert f"this mailbox is {TOM}" in said(wrong)
    assert go(Guest(app), link, email=TOM).location == "/links/connected"
    with app.app_context():
        assert mailboxes.mailbox_of(tom()).can_send  # type: ignore[union-attr]


def test_nobody_connects_anything_in_toms_name_while_signed_in_as_another(
    app: Flask, link: str
) -> None:
    manager = visitor(app, olive)
    for answer in (manager.get(link), manager.post(link)):
        assert answer.status_code == 410
        assert "This link is for Tom Baker, and you are signed in as Olive Park." in said(answer)
    toms = visitor(app, tom)
    assert toms.get(link).status_code == 200
    assert toms.get(consent(toms.post(link), TOM)).location == "/links/connected"


def test_who_signs_in_as_another_on_the_way_connects_nothing(app: Flask, link: str) -> None:
    guest = Guest(app)
    way = consent(guest.post(link), TOM)
    with app.app_context():
        session_id = nia().get_id()
    with guest.client.session_transaction() as session:
        session["_user_id"], session["_fresh"] = session_id, True
    assert "Somebody else started this sign-in" in said(guest.get(way))
    assert owners(app) == {}


@pytest.mark.parametrize("ending", ["run out", "newer link", "may not sign in"])
def test_a_link_that_ended_on_the_way_connects_nothing(app: Flask, link: str, ending: str) -> None:
    guest = Guest(app)
    way = consent(guest.post(link), TOM)
    with app.app_context():
        if ending == "run out":
            db.session.execute(update(Link).values(ends_at=now()))
            db.session.commit()
        elif ending == "newer link":
            links.make(Purpose.MAILBOX, tom(), olive())
        else:
            accounts.end(tom())
    answer = guest.get(way)
    assert answer.status_code == 400 and ending in said(answer)
    assert owners(app) == {}


def test_a_stranger_without_a_link_cannot_come_back_from_google(app: Flask, link: str) -> None:
    guest = Guest(app)
    way = consent(guest.post(link), TOM)
    assert "/sign-in" in Guest(app).get(way).location
    assert guest.get(way).location == "/links/connected"
    assert "/sign-in" in guest.get(way).location  # the answer counts only once


def test_the_key_stands_in_no_log(app: Flask, link: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        guest = Guest(app)
        guest.get(link)
        guest.get(link + "x")
        go(guest, link, email=TOM)
    assert link.rpartition("/")[2] not in caplog.text


def test_what_a_mail_program_looks_at_sends_nobody_to_google(app: Flask, link: str) -> None:
    page = Guest(app).get(link)
    assert page.status_code == 200
    assert re.search(r'<form method="post" action="/links/mailbox/', page.text)
    with app.app_context():
        assert db.session.scalars(select(Link)).one().used_at is None
