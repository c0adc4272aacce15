"""Mail that is stuck is noticed by itself, and the office told through a sender that works."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import update

from portal import alarms, breakdowns, mailboxes
from portal.accounts import Role
from portal.columns import now
from portal.dispatch import Dispatch, State
from portal.extensions import db
from portal.mailboxes import Address, Mailbox
from tests import factories
from tests.visitor import said, visitor


@pytest.fixture
def office(app: Flask) -> Iterator[Mailbox]:
    with app.app_context():
        factories.olive()
        yield factories.office_mailbox()


def another_mailbox() -> Mailbox:
    box = Mailbox(account_sub="accounts", email=factories.ACCOUNTS, scopes="")
    own = Address(email=factories.ACCOUNTS, verification="accepted", is_primary=True)
    box.addresses = [own]
    db.session.add(box)
    db.session.commit()
    return box


def waited(one: Dispatch, minutes: int) -> None:
    since = now() - timedelta(minutes=minutes)
    db.session.execute(update(Dispatch).where(Dispatch.id == one.id).values(queued_at=since))
    db.session.commit()


def test_an_hour_in_the_queue_is_an_alarm_and_less_is_none(office: Mailbox) -> None:
    one = factories.asked()
    waited(one, 59)
    assert alarms.stuck() == []
    waited(one, 61)
    (found,) = alarms.stuck()
    assert (found.mailbox.id, found.count, found.oldest_id) == (office.id, 1, one.id)


def test_a_long_queue_that_moves_is_no_alarm(office: Mailbox) -> None:
    first, second = factories.asked(), factories.asked(factories.document(number="INV-0043"))
    waited(second, 90)
    done = {"state": State.ACCEPTED, "accepted_at": now() - timedelta(minutes=2)}
    db.session.execute(update(Dispatch).where(Dispatch.id == first.id).values(**done))
    assert alarms.stuck() == []


def test_the_managers_are_told_once_through_another_mailbox(office: Mailbox) -> None:
    other = another_mailbox()
    waited(factories.asked(), 61)
    for _sweep in range(3):
        alarms.tell_managers()
    (mail,) = factories.notices()
    assert mail.to == ["olive@brightspark.example"]
    assert (mail.mailbox_id, mail.from_email) == (other.id, factories.ACCOUNTS)
    assert "1 message has been in the queue of office@brightspark.example" in mail.body


def test_a_manager_whom_no_mail_can_be_written_to_keeps_no_other_from_being_told(
    office: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    another_mailbox()
    factories.person("j\u00f6rg", "A. J\u00f6rg", Role.MANAGER)  # sorted before Olive
    waited(factories.asked(), 61)
    assert alarms.tell_managers() == 1
    assert [mail.to for mail in factories.notices()] == [["olive@brightspark.example"]]
    assert "a manager could not be told" in caplog.text


def test_a_second_hour_of_the_same_trouble_is_the_same_alarm_but_new_trouble_is_new(
    office: Mailbox,
) -> None:
    another_mailbox()
    first = factories.asked()
    waited(first, 61)
    alarms.tell_managers()
    db.session.execute(
        update(Dispatch).where(Dispatch.id == first.id).values(state=State.CANCELLED)
    )
    waited(factories.asked(factories.document(number="INV-0043")), 61)
    alarms.tell_managers()
    assert len(factories.notices()) == 2


@pytest.mark.parametrize("broken", ["needs_sign_in", "paused", "missing"])
def test_with_no_other_sender_that_works_nobody_is_told_by_mail(
    office: Mailbox, broken: str
) -> None:
    if broken != "missing":
        other = another_mailbox()
        if broken == "paused":
            mailboxes.pause(other.id, 600, "Gmail asked for it.")
        else:
            other.health = mailboxes.Health.NEEDS_SIGN_IN
        db.session.commit()
    waited(factories.asked(), 61)
    assert alarms.tell_managers() == 0
    assert factories.notices() == []


def test_one_that_cannot_be_reached_tells_only_where_no_other_is_in_order(office: Mailbox) -> None:
    away = another_mailbox()
    away.failing_since = now() - timedelta(hours=1)
    relay = Mailbox(account_sub=mailboxes.RELAY, provider="smtp", email="relay@brightspark.example")
    relay.addresses = [Address(email=relay.email, verification="accepted", is_primary=True)]
    db.session.add(relay)
    db.session.commit()
    olive = factories.olive()
    ways = [alarms.other_sender(office.id), alarms.other_sender(), breakdowns.way_to(olive, 1)]
    assert [one and one.mailbox_id for one in ways] == [away.id, office.id, relay.id]


def test_the_alarms_own_mail_is_no_reason_for_another_alarm(office: Mailbox) -> None:
    another_mailbox()
    waited(factories.asked(), 61)
    alarms.tell_managers()
    waited(factories.notices()[0], 120)
    assert [one.mailbox.id for one in alarms.stuck()] == [office.id]


def test_what_was_released_from_a_hold_starts_its_hour_anew(office: Mailbox) -> None:
    from portal.dispatch import release_ready

    one = factories.asked()
    held = {"state": State.HELD, "queued_at": now() - timedelta(days=2)}
    db.session.execute(update(Dispatch).where(Dispatch.id == one.id).values(**held))
    db.session.commit()
    assert release_ready() == 1
    assert alarms.stuck() == []


def test_the_home_page_says_what_is_stuck_and_whether_a_mail_told_of_it(app: Flask) -> None:
    with app.app_context():
        factories.olive()
        factories.office_mailbox()
        waited(factories.asked(), 75)
    olive = visitor(app, factories.olive)
    page = said(olive.get("/"))
    assert "1 message has waited for more than an hour" in page
    assert "No other mailbox of the company works, so nobody could be told by mail." in page
    with app.app_context():
        another_mailbox()
        alarms.tell_managers()
    assert "A mail about it is on its way to you, through accounts@" in said(olive.get("/"))
