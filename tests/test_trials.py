"""The test round: every sender in use is tried for real, and somebody says what they saw."""

from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import select

from portal import policy, trials
from portal.dispatch import Dispatch, Purpose
from portal.extensions import db
from portal.mailboxes import Address, Mailbox
from portal.senders import Mode
from portal.trials import CannotTest, Outcome
from tests import factories
from tests.visitor import said, visitor


@pytest.fixture
def office(app: Flask) -> Iterator[Mailbox]:
    with app.app_context():
        factories.olive()
        yield factories.office_mailbox(accounts="accepted", quotes="pending")


def in_use() -> dict[str, bool]:
    return {one.email: one.ready for one in trials.senders_in_use(factories.olive())}


def missing(round_: trials.TrialRound) -> list[str]:
    found = trials.not_in(round_, trials.senders_in_use(factories.olive()))
    return [one.email for one in found]


def test_without_rules_only_the_company_mailbox_is_in_use(office: Mailbox) -> None:
    assert in_use() == {factories.OFFICE: True}


def test_every_address_that_a_rule_leads_to_is_in_use_ready_or_not(office: Mailbox) -> None:
    factories.tom()
    factories.nia()
    policy.set_rule("invoice", Mode.SPECIFIED, factories.ACCOUNTS)
    policy.set_rule("quote", Mode.SPECIFIED, "quotes@brightspark.example")
    policy.set_rule("job", Mode.USER)
    assert in_use() == {
        factories.OFFICE: True,
        factories.ACCOUNTS: True,
        "quotes@brightspark.example": False,
        "olive@brightspark.example": False,
        "tom@brightspark.example": True,
        "nia@brightspark.example": False,
    }


def test_a_test_is_one_real_mail_from_that_very_address(office: Mailbox) -> None:
    olive = factories.olive()
    policy.set_rule("", Mode.SPECIFIED, factories.ACCOUNTS)
    (trial,) = trials.start(olive).trials
    asked = trials.send(trial, "tom@brightspark.example", olive)
    assert (asked.from_email, asked.to) == (factories.ACCOUNTS, ["tom@brightspark.example"])
    assert asked.purpose == Purpose.TEST
    assert b"accounts@brightspark.example" in asked.mime
    assert asked.subject == "[Test] Mail from accounts@brightspark.example"


def test_a_second_press_is_the_same_mail_and_a_later_one_another(office: Mailbox) -> None:
    olive = factories.olive()
    (trial,) = trials.start(olive).trials
    key = f"trial/{trial.id}/0"
    first = trials.send(trial, factories.MARY, olive)
    from portal import dispatch

    assert dispatch.noticed(key) is not None and dispatch.noticed(key).id == first.id  # type: ignore[union-attr]
    second = trials.send(trial, factories.MARY, olive)
    assert second.id != first.id
    assert len(list(db.session.scalars(select(Dispatch)))) == 2


def test_a_sender_that_is_not_ready_is_never_tested_from_another_address(office: Mailbox) -> None:
    olive = factories.olive()
    policy.set_rule("", Mode.SPECIFIED, "quotes@brightspark.example")
    (trial,) = trials.start(olive).trials
    with pytest.raises(CannotTest, match="not confirmed yet"):
        trials.send(trial, factories.MARY, olive)
    assert trial.dispatch_id is None
    assert not list(db.session.scalars(select(Dispatch)))


def test_nobodys_address_is_tested_before_they_agree_and_the_round_says_so(
    app: Flask, office: Mailbox
) -> None:
    lou = factories.person("lou", "Lou Reed", agrees=False)
    db.session.add(Address(mailbox_id=office.id, email=lou.email, verification="accepted"))
    policy.set_rule("", Mode.SPECIFIED, lou.email)
    (trial,) = trials.start(factories.olive()).trials
    with pytest.raises(CannotTest, match="Lou Reed has not agreed yet"):
        trials.send(trial, factories.MARY, factories.olive())
    assert not list(db.session.scalars(select(Dispatch)))
    db.session.commit()
    page = said(visitor(app, factories.olive).get("/test-round"))
    assert "It cannot be tested yet" in page and "Lou Reed has not agreed yet" in page


def test_who_saw_it_is_kept_and_a_new_test_is_to_be_looked_at_anew(office: Mailbox) -> None:
    olive, tom = factories.olive(), factories.tom()
    round_ = trials.start(olive)
    (trial,) = round_.trials
    with pytest.raises(CannotTest, match="Send this test first"):
        trials.settle(trial, Outcome.ARRIVED, tom)
    trials.send(trial, factories.MARY, olive)
    trials.settle(trial, Outcome.ARRIVED, tom)
    assert (trial.settled_by_id, round_.seen, round_.done) == (tom.id, 1, True)
    trials.send(trial, factories.MARY, olive)
    assert (trial.outcome, round_.done) == ("", False)


def test_a_sender_that_comes_into_use_later_is_missed_and_can_be_added(office: Mailbox) -> None:
    olive = factories.olive()
    round_ = trials.start(olive)
    policy.set_rule("invoice", Mode.SPECIFIED, factories.ACCOUNTS)
    assert missing(round_) == [factories.ACCOUNTS]
    assert trials.add_missing(round_, olive) == 1
    assert missing(round_) == []


def test_olive_runs_a_round_and_tom_ticks_what_he_saw(app: Flask) -> None:
    with app.app_context():
        factories.office_mailbox()
    olive, tom = visitor(app, factories.olive), visitor(app, factories.tom)
    assert "Mail now comes from 1 address." in said(olive.get("/test-round"))
    olive.post("/test-rounds")
    assert "0 of 1 seen to arrive" in said(olive.get("/test-round"))
    to_tom = {"to": "tom@brightspark.example"}
    assert tom.post("/trials/1/mail", to_tom).status_code == 403
    wrong = olive.post("/trials/1/mail", {"to": "tom at brightspark"})
    assert wrong.status_code == 422 and "tom at brightspark" in wrong.text
    olive.post("/trials/1/mail", to_tom)
    assert tom.post("/trials/1/outcome", {"outcome": "perhaps"}).status_code == 422
    tom.post("/trials/1/outcome", {"outcome": "arrived"})
    page = said(olive.get("/test-round"))
    assert "1 of 1 seen to arrive" in page
    assert "It arrived, from this address. Tom Baker" in page


def test_the_note_names_the_addresses_in_use(app: Flask) -> None:
    with app.app_context():
        factories.office_mailbox(accounts="accepted")
        policy.set_rule("invoice", Mode.SPECIFIED, factories.ACCOUNTS)
    olive = visitor(app, factories.olive)
    text = olive.get("/allow-list.txt").text
    assert factories.OFFICE in text and factories.ACCOUNTS in text
    assert "from the domain brightspark.example" in text
    assert "Copy" in said(olive.get("/allow-list"))
