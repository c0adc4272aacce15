"""A mailbox that breaks: who is told, by which way, and how it comes back without losing a word."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
import requests
from flask import Flask
from sqlalchemy import update

from portal import (
    attempts,
    breakdowns,
    dispatch,
    health,
    instance,
    links,
    mailboxes,
    policy,
    upkeep,
)
from portal.accounts import User
from portal.columns import now
from portal.config import Config
from portal.dispatch import Dispatch, State, reviewing
from portal.envelope import NeedsSignIn
from portal.extensions import db
from portal.mailboxes import Health, Mailbox
from portal.sandbox.server import SandboxServer
from portal.senders import Mode, Trouble
from tests import factories, servers
from tests.factories import ACCOUNTS, OFFICE
from tests.test_house_pages import problems
from tests.visitor import Visitor, said, visitor
from tests.web.test_mailboxes import consent
from tests.web.test_users import Guest

NIA = "nia@brightspark.example"


@pytest.fixture
def config(database: str, redis_url: str, local_google: SandboxServer) -> Config:
    google = servers.pointed_at(local_google.url)
    return servers.config_of(DATABASE_URL=database, REDIS_URL=redis_url, **google)


def steer(google: SandboxServer, noun: str, **body: object) -> None:
    assert requests.post(f"{google.url}/_sandbox/{noun}", json=body, timeout=5).ok


def broken(google: SandboxServer, count: int = 1) -> list[Dispatch]:
    """The office's mailbox is revoked in the middle of its mail; what waits for it."""
    waiting = [factories.asked(factories.document(number=f"INV-{n}")) for n in range(count)]
    steer(google, "revoke", email=OFFICE)
    attempts.send(waiting[0].id)
    db.session.expire_all()
    return waiting


def another_mailbox() -> Mailbox:
    box = factories.office_mailbox()
    box.account_sub, box.email, box.is_company_default = "accounts", ACCOUNTS, False
    box.addresses[0].email = ACCOUNTS
    for other in box.addresses[1:]:
        db.session.delete(other)
    db.session.commit()
    return box


def link_in(mail: Dispatch) -> str:
    found = re.search(r"/links/mailbox/\S+", mail.body)
    assert found, mail.body
    return found[0]


def waited(one: Dispatch, hours: float) -> None:
    since = now() - timedelta(hours=hours)
    db.session.execute(update(Dispatch).where(Dispatch.id == one.id).values(state_since=since))
    db.session.commit()


def test_who_can_mend_it_is_told_once_by_another_way_and_mends_it_on_a_phone(
    app: Flask, local_google: SandboxServer
) -> None:
    with app.app_context():
        factories.olive()
        factories.connected(local_google.url)
        other = another_mailbox()
        lately, long_ago = broken(local_google, 2)
        assert {lately.state, long_ago.state} == {State.HELD}
        assert (breakdowns.tell(), breakdowns.tell()) == (1, 0)
        (mail,) = factories.notices()
        assert (mail.to, mail.mailbox_id) == (["olive@brightspark.example"], other.id)
        assert "2 messages are safe and waiting" in mail.body
        waited(long_ago, 2)
        link, ids = link_in(mail), (lately.id, long_ago.id)

    phone = Guest(app)
    wrong = phone.get(consent(phone.post(link), email=NIA))
    assert f"this mailbox is {OFFICE}" in said(wrong)
    back = phone.get(consent(phone.post(link), email=OFFICE))
    assert back.location == "/links/connected"
    assert "1 message waited for more than an hour" in said(phone.get(back.location))
    assert "/sign-in" in phone.get("/").location  # the link opened nothing else
    assert phone.get(link).status_code == 410

    with app.app_context():
        states = [db.session.get_one(Dispatch, one).state for one in ids]
        assert states == [State.QUEUED, State.HELD]
        dispatch.release_ready()
        asked_about = db.session.get_one(Dispatch, ids[1])
        assert (asked_about.state, asked_about.hold_code) == (State.HELD, Trouble.REVIEW)


def test_seven_are_waiting_send_all_or_review(app: Flask, local_google: SandboxServer) -> None:
    with app.app_context():
        factories.olive()
        waiting = [*_broken_and_mended(local_google, 3)]
        box_id, ids = waiting[0].mailbox_id, [one.id for one in waiting]
        assert dispatch.to_review() == {box_id: 3}
    olive = visitor(app, factories.olive)
    assert "3 messages are waiting for your word" in olive.words("/")
    address = f"/mailboxes/{box_id}/waiting"
    page = olive.get(address)
    assert problems(page) == [] and "3 are waiting: send all, or review" in said(page)
    olive.post(f"{address}/ticked", {"do": "cancel", "dispatch": [str(ids[0])]})
    assert "Tick the messages first" in said(_after(olive, f"{address}/ticked", {"do": "cancel"}))
    olive.post(address)
    with app.app_context():
        states = [db.session.get_one(Dispatch, one).state for one in ids]
        assert states == [State.CANCELLED, State.QUEUED, State.QUEUED]
        assert dispatch.to_review() == {}
    assert visitor(app, factories.nia).get(address).status_code == 403


def _broken_and_mended(google: SandboxServer, count: int) -> list[Dispatch]:
    factories.connected(google.url)
    waiting = broken(google, count)
    for one in waiting:
        waited(one, 2)
    factories.connected(google.url)
    dispatch.release_ready()
    return waiting


def _after(who: Visitor, address: str, form: dict[str, str]):  # type: ignore[no-untyped-def]
    return who.get(who.post(address, form).location)


def test_what_waited_for_its_address_leaves_as_promised_however_long_it_took(app: Flask) -> None:
    with app.app_context():
        box = factories.office_mailbox(tom="pending")
        policy.set_rule(policy.EVERY_KIND, Mode.USER)
        one = factories.asked()
        waited(one, 30)
        dispatch.release_ready()
        db.session.expire_all()
        assert one.state == State.HELD
        box.addresses[1].verification = "accepted"
        db.session.commit()
        assert dispatch.release_ready() == 1
        db.session.expire_all()
        assert one.state == State.QUEUED


def test_what_somebody_sent_on_is_not_asked_about_again(
    app: Flask, local_google: SandboxServer
) -> None:
    with app.app_context():
        olive = factories.olive()
        (one,) = _broken_and_mended(local_google, 1)
        assert reviewing.asked_about(one.mailbox_id or 0, 5) == [one]
        assert dispatch.send_on(one.mailbox_id or 0, olive) == 1
        db.session.expire_all()
        assert one.state == State.QUEUED
        assert dispatch.send_on(one.mailbox_id or 0, olive) == 0


def test_the_owner_gets_the_link_and_the_office_the_news(
    app: Flask, local_google: SandboxServer
) -> None:
    with app.app_context():
        factories.olive()
        another_mailbox()
        box = factories.connected(local_google.url, NIA, owner=factories.nia())
        _mark_broken(box)
        assert breakdowns.tell() == 2
        to = {mail.to[0]: mail for mail in factories.notices()}
        assert link_in(to[NIA])
        news = to["olive@brightspark.example"].body
        assert "/links/" not in news and "Nia Cole has been sent a link" in news


def test_with_no_other_way_the_page_says_so_and_a_second_breakdown_is_told_anew(
    app: Flask, local_google: SandboxServer
) -> None:
    with app.app_context():
        factories.olive()
        box = factories.connected(local_google.url)
        _mark_broken(box)
        assert breakdowns.tell() == 0 and breakdowns.nobody_told(box)
    olive = visitor(app, factories.olive)
    assert "nobody could be told by mail" in olive.words("/settings")
    with app.app_context():
        another_mailbox()
        assert breakdowns.tell() == 1
        box = factories.connected(local_google.url)
        assert breakdowns.tell() == 0
        _mark_broken(box)
        assert breakdowns.tell() == 1


def test_nobody_hears_through_a_colleagues_own_mailbox(
    app: Flask, local_google: SandboxServer
) -> None:
    with app.app_context():
        olive = factories.olive()
        box = factories.connected(local_google.url)
        factories.connected(local_google.url, "tom@brightspark.example", owner=factories.tom())
        assert breakdowns.way_to(olive, box.id) is None
        own = factories.connected(local_google.url, "olive@brightspark.example", owner=olive)
        way = breakdowns.way_to(olive, box.id)
        assert way is not None and way.mailbox_id == own.id


def test_a_manager_makes_a_link_that_only_this_mailboxs_account_can_use(
    app: Flask, local_google: SandboxServer
) -> None:
    with app.app_context():
        box_id = factories.connected(local_google.url).id
    olive = visitor(app, factories.olive)
    made = olive.post(f"/mailboxes/{box_id}/link")
    found = re.search(r"/links/mailbox/[\w-]+", made.text)
    assert problems(made) == [] and found and "Not mailed" in said(made)
    phone = Guest(app)
    assert "this mailbox is" in said(phone.get(consent(phone.post(found[0]), email=NIA)))
    assert phone.get(consent(phone.post(found[0]), email=OFFICE)).location == "/links/connected"
    assert visitor(app, factories.tom).post(f"/mailboxes/{box_id}/link").status_code == 403


def test_the_alert_does_not_end_the_link_that_she_has_just_made(
    app: Flask, local_google: SandboxServer
) -> None:
    with app.app_context():
        box = factories.connected(local_google.url)
        another_mailbox()
        _mark_broken(box)
        made = breakdowns.make_link(box, factories.olive(), factories.olive())
        assert made.mail and breakdowns.tell() == 0
        assert links.open(made.url.rpartition("/")[2], links.Purpose.MAILBOX)


def _mark_broken(box: Mailbox) -> None:
    mailboxes.mark_broken(box.id, NeedsSignIn("Google no longer accepts it."))
    db.session.refresh(box)


# -- upkeep --------------------------------------------------------------------------------------


def idle(box: Mailbox, hours: float = 72, **more: object) -> None:
    """Nothing was sent through it for so long, and its access is over."""
    then = now() - timedelta(hours=hours)
    values = {"checked_at": then, "access_expires_at": then, "connected_at": then, **more}
    db.session.execute(update(Mailbox).where(Mailbox.id == box.id).values(**values))
    db.session.commit()
    db.session.refresh(box)


@pytest.fixture
def look(app: Flask) -> Callable[[], int]:
    def look() -> int:
        app.extensions.pop("upkeep", None)
        return upkeep.look_again()

    return look


def test_an_idle_sign_in_is_renewed_once_and_found_dead_where_it_is(
    app: Flask, local_google: SandboxServer, look: Callable[[], int]
) -> None:
    with app.app_context():
        factories.bright_spark()
        box = factories.connected(local_google.url)
        assert look() == 0  # it was used just now
        idle(box)
        assert (look(), look()) == (1, 0)
        db.session.refresh(box)
        assert box.access_expires_at and box.access_expires_at > now()
        idle(box, looked_at=None)
        steer(local_google, "revoke", email=OFFICE)
        assert look() == 1
        db.session.refresh(box)
        assert (box.health, box.broke_at is not None) == (Health.NEEDS_SIGN_IN, True)


def test_where_the_provider_is_away_the_mailbox_says_so_until_it_answers(
    app: Flask, local_google: SandboxServer, look: Callable[[], int]
) -> None:
    with app.app_context():
        factories.bright_spark()
        box = factories.connected(local_google.url)
        idle(box)
        steer(local_google, "faults", method="token", kind="500-before")
        assert look() == 1
        db.session.refresh(box)
        assert health.judge(box.facts(), now()).condition is health.Condition.UNREACHABLE
        idle(box, looked_at=None, paused_until=None)
        assert look() == 1
        db.session.refresh(box)
        assert health.judge(box.facts(), now()).condition is health.Condition.CONNECTED


def test_nothing_is_asked_while_all_mail_is_held(
    app: Flask, local_google: SandboxServer, look: Callable[[], int]
) -> None:
    with app.app_context():
        idle(factories.connected(local_google.url))
        instance.hold_all(factories.olive())
        assert look() == 0


def test_a_sign_in_of_testing_is_foreseen_on_the_page(
    app: Flask, local_google: SandboxServer
) -> None:
    with app.app_context():
        box = factories.connected(local_google.url)
        then = now() - timedelta(days=5)
        box.connected_at, box.grant_ends_at = then, then + timedelta(days=7)
        db.session.commit()
    olive = visitor(app, factories.olive)
    assert f"The sign-in of {OFFICE} ends" in olive.words("/")
    assert "publish the project" in olive.words("/settings")


def test_the_seven_days_of_testing_are_told_ahead_once_to_owner_and_office(
    app: Flask,
) -> None:
    with app.app_context():
        factories.olive()
        box = factories.office_mailbox()
        then = now() - timedelta(days=5)
        box.connected_at, box.grant_ends_at = then, then + timedelta(days=7)
        own = Mailbox(account_sub="nia", email=NIA, owner=factories.nia(), issuer=box.issuer)
        own.connected_at, own.lasted_a_week = then, True
        db.session.add(own)
        db.session.commit()
        assert (upkeep.tell_of_ends(), upkeep.tell_of_ends()) == (3, 0)
        told = {(mail.to[0], mail.subject.split()[3]): mail for mail in factories.notices()}
        mine = told["olive@brightspark.example", OFFICE]
        assert mine.from_email == OFFICE  # which still sends, and is the only way
        assert "/settings" in mine.body and "publishes the project" in mine.body
        assert "probably ends" in told[NIA, NIA].subject and "/profile" in told[NIA, NIA].body
        assert "Nia Cole signs in to it again" in told["olive@brightspark.example", NIA].body
        box.connected_at, box.grant_ends_at = now(), now() + timedelta(days=7)
        db.session.commit()
        assert upkeep.tell_of_ends() == 0  # she has signed in again in time


def test_the_end_of_the_secret_is_told_to_managers_once_for_each_stage(app: Flask) -> None:
    with app.app_context():
        olive: User = factories.olive()
        factories.office_mailbox()
        config = app.config["PORTAL"]
        ends = upkeep.today() + timedelta(days=20)
        app.config["PORTAL"] = config.model_copy(update={"MICROSOFT_SECRET_ENDS": ends})
        for _ in range(2):
            upkeep.tell_of_secret()
        (mail,) = factories.notices()
        assert mail.to == [olive.email] and "ends in 20 days" in mail.body
    assert "ends in 20 days" in visitor(app, factories.olive).words("/settings")
