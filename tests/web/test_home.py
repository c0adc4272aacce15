"""The home page is quiet when all is well, and names what needs somebody."""

from collections.abc import Callable

import pytest
from flask import Flask

from portal import dispatch, queueing
from portal.accounts import User
from portal.columns import now
from portal.dispatch import Dispatch, Proof, State
from portal.extensions import db
from portal.mailboxes import Health, Mailbox
from tests.asking import queries
from tests.factories import asked, contact, document, mary, nia, office_mailbox, olive, tom, wish
from tests.visitor import Visitor, visitor


@pytest.fixture
def manager(app: Flask) -> Visitor:
    return visitor(app, olive)


def sent(app: Flask, *states: State, who: Callable[[], User] = tom, **values: object) -> None:
    """A document of its own for each state."""
    with app.app_context():
        person = mary()
        for state in states:
            one = asked(document(contact=person, author=who()), who())
            one.state = state
            one.accepted_at = now() if state is State.ACCEPTED else None
            one.state_note = "Gmail refused the address." if state is State.REFUSED else ""
            for name, value in values.items():
                setattr(one, name, value)
            db.session.commit()


@pytest.fixture(autouse=True)
def service(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sending service is there."""
    monkeypatch.setattr(queueing, "health", lambda: "ok")


@pytest.fixture
def mailbox(app: Flask) -> None:
    with app.app_context():
        office_mailbox()


@pytest.mark.sqlite_only
def test_a_fresh_company_is_told_its_next_step(app: Flask, manager: Visitor) -> None:
    words = manager.words("/")
    assert "One step to go, Olive" in words and "Next: connect the company mailbox" in words
    assert "Nothing needs you" not in words
    staff = visitor(app, nia).words("/")
    assert "Next: connect" not in staff
    assert "The office manager connects one under Administration." in staff


@pytest.mark.sqlite_only
def test_a_disconnected_mailbox_is_a_next_step_again(app: Flask, manager: Visitor) -> None:
    with app.app_context():
        office_mailbox().health = Health.DISCONNECTED
        db.session.commit()
    words = manager.words("/")
    assert "Next: connect the company mailbox" in words and "Nothing needs you" not in words
    assert "No company mailbox is connected" in visitor(app, nia).words("/")


@pytest.mark.sqlite_only
def test_a_second_mailbox_does_not_hide_that_the_default_one_is_gone(
    app: Flask, manager: Visitor
) -> None:
    with app.app_context():
        office_mailbox().health = Health.DISCONNECTED
        db.session.add(Mailbox(account_sub="second", email="second@brightspark.example"))
        db.session.commit()
    words = manager.words("/")
    assert "Next: connect the company mailbox" in words and "Nothing needs you" not in words


@pytest.mark.sqlite_only
def test_a_broken_mailbox_needs_the_office_manager(app: Flask, manager: Visitor) -> None:
    with app.app_context():
        office_mailbox().health = Health.NEEDS_SIGN_IN
        db.session.commit()
    words = manager.words("/")
    assert "A mailbox needs you, Olive" in words and "Nothing needs you" not in words
    assert "Nothing needs you, Nia" in visitor(app, nia).words("/")


def test_when_all_is_well_it_says_so_and_no_more(
    app: Flask, manager: Visitor, mailbox: None
) -> None:
    sent(app, State.ACCEPTED)
    assert "Today's message was accepted" in manager.words("/")
    sent(app, State.ACCEPTED, State.ACCEPTED)
    words = manager.words("/")
    assert "All 3 messages today were accepted" in words and "Needs attention" not in words
    sent(app, State.QUEUED)
    assert "3 of 4 messages today were accepted" in manager.words("/")


@pytest.mark.sqlite_only
def test_what_needs_somebody_is_named(app: Flask, manager: Visitor, mailbox: None) -> None:
    sent(app, State.REFUSED)
    words = manager.words("/")
    assert "1 needs you" in words and "Gmail refused the address." in words
    sent(app, State.ACCEPTED, proof=Proof.DIFFERS)
    words = manager.words("/")
    assert "2 need you" in words and "Left from another address" in words


@pytest.mark.sqlite_only
def test_staff_see_their_own(app: Flask, manager: Visitor, mailbox: None) -> None:
    sent(app, State.REFUSED, State.HELD, who=tom)
    assert "2 need you" in manager.words("/")
    other = visitor(app, nia).words("/")
    assert "Nothing needs you, Nia" in other and "INV-0001" not in other
    assert "INV-0001" in visitor(app, tom).words("/")


@pytest.mark.sqlite_only
def test_what_is_still_open_stays_named_though_it_was_sent_again(
    app: Flask, manager: Visitor, mailbox: None
) -> None:
    with app.app_context():
        paper = document(contact=mary(), author=tom())
        for state in (State.REFUSED, State.UNKNOWN, State.ACCEPTED):
            dispatch.request(paper, tom(), wish(dispatch.next_number(paper))).state = state
            db.session.commit()
    words = manager.words("/")
    assert "1 needs you" in words and "Unclear" in words
    with app.app_context():
        db.session.query(Dispatch).filter_by(state=State.UNKNOWN).one().state = State.ACCEPTED
        db.session.commit()
    assert "on their way, or were cancelled or sent again. Nothing needs you" in manager.words("/")


@pytest.mark.sqlite_only
def test_what_waits_for_the_sending_service_is_said_on_every_page(
    app: Flask, manager: Visitor, mailbox: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    said_so = "the sending service cannot be reached."
    asked_for: list[str] = []

    def away() -> str:
        asked_for.append("health")
        return "no_worker"

    monkeypatch.setattr(queueing, "health", away)
    sent(app, State.ACCEPTED)
    assert said_so not in manager.words("/") and not asked_for  # nothing waits: nobody is asked
    sent(app, State.QUEUED)
    words = manager.words("/")
    assert f"1 message waits: {said_so} It is safe." in words and "Nothing needs you" not in words
    sent(app, State.QUEUED, State.QUEUED)
    assert f"3 messages wait: {said_so} They are safe." in visitor(app, nia).words("/contacts")
    assert len(asked_for) == 2  # once a page
    monkeypatch.setattr(queueing, "health", lambda: "ok")
    assert said_so not in manager.words("/")


def test_finding_what_needs_somebody_asks_as_much_for_many_as_for_one(
    app: Flask, mailbox: None
) -> None:
    sent(app, State.HELD)
    with app.app_context():
        one = queries(dispatch.needing_attention)
    sent(app, *[State.HELD] * 4)
    with app.app_context():
        assert queries(dispatch.needing_attention) == one


@pytest.mark.sqlite_only
def test_what_was_never_sent_says_whether_it_could_be(app: Flask, manager: Visitor) -> None:
    with app.app_context():
        document(contact=mary(), author=tom())
    assert "Pending" in manager.words("/") and "N/A" not in manager.words("/")
    with app.app_context():
        document(contact=contact(business="Harbour Strata", email=""), author=tom())
    assert "N/A" in manager.words("/")
