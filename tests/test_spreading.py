"""A batch's mail is shared by the mailboxes that may send as its address, and nothing else is."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import requests
from flask import Flask
from sqlalchemy import select, update

from portal import delivery, pace, spreading
from portal.columns import now
from portal.dispatch import Dispatch, Lane, State
from portal.extensions import db
from portal.mailboxes import Address, Mailbox
from portal.people import company
from portal.providers.gmail import FULL_SCOPES
from tests import asking, factories, servers
from tests.factories import ACCOUNTS, OFFICE

if TYPE_CHECKING:
    from portal.sandbox.server import SandboxServer


@pytest.fixture
def app(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """The portal where even a second sooner is worth it, inside an app context."""
    monkeypatch.setattr(pace, "WORTH_MOVING", timedelta(seconds=0.001))
    with servers.inside(servers.config_of(DATABASE_URL=database)) as made:
        yield made


@pytest.fixture
def office(app: Flask) -> Mailbox:
    return factories.office_mailbox()


def another(email: str = ACCOUNTS, may_send_as: str = OFFICE, **known: object) -> Mailbox:
    """Another mailbox of the company that may send as the office's address."""
    box = Mailbox(account_sub=email, email=email, scopes=" ".join(FULL_SCOPES), **known)
    box.addresses = [
        Address(email=email, verification="accepted", is_primary=True),
        Address(email=may_send_as, verification="accepted"),
    ]
    db.session.add(box)
    db.session.commit()
    return box


def queued(count: int, lane: Lane = Lane.BATCH, **values: object) -> list[Dispatch]:
    """So many messages from office@ in the queue of the office's mailbox."""
    found = [factories.asked() for _ in range(count)]
    ids = [one.id for one in found]
    db.session.execute(update(Dispatch).where(Dispatch.id.in_(ids)).values(lane=lane, **values))
    db.session.commit()
    return found


def by_mailbox() -> Counter[str]:
    query = select(Mailbox.email).join(Dispatch, Dispatch.mailbox_id == Mailbox.id)
    return Counter(db.session.scalars(query))


def test_what_waits_is_shared_and_each_story_tells_it(office: Mailbox) -> None:
    another()
    waiting = queued(5)
    assert spreading.spread() == 2
    assert by_mailbox() == {OFFICE: 3, ACCOUNTS: 2}
    for one in waiting:
        db.session.refresh(one)
    moved = [one for one in waiting if one.mailbox_id != office.id]
    assert moved == waiting[3:]  # those whose turn is last
    for one in moved:
        assert (one.from_email, one.state, one.attempt) == (OFFICE, State.QUEUED, 0)
        assert one.events[-1].text == (
            f"It goes through {ACCOUNTS}, which may use the same address, so that it leaves sooner."
        )
    assert spreading.spread() == 0


def test_nothing_else_is_touched(office: Mailbox) -> None:
    another()
    queued(2, Lane.PERSON)
    queued(1, attempt=1)
    queued(1, draft_id="r-1")
    queued(1, state=State.HELD)
    queued(2, from_email="tom@brightspark.example")
    assert spreading.spread() == 0
    assert by_mailbox() == {OFFICE: 7}


def test_a_mailbox_that_may_not_carry_it_gets_nothing(office: Mailbox) -> None:
    box = another()
    queued(2)
    for name, value in (
        ("held_at", now()),
        ("health", "needs_sign_in"),
        ("owner_id", factories.tom().id),
        ("issuer", "https://other.example"),
    ):
        before = getattr(box, name)
        setattr(box, name, value)
        db.session.commit()
        assert spreading.spread() == 0, name
        setattr(box, name, before)
    box.addresses[1].verification = "pending"
    db.session.commit()
    assert spreading.spread() == 0
    box.addresses[1].verification = "accepted"
    db.session.commit()
    assert spreading.spread() == 1


def test_what_a_person_holds_back_is_not_sent_by_a_side_door(office: Mailbox) -> None:
    another()
    queued(2)
    office.held_at = now()
    db.session.commit()
    assert spreading.spread() == 0


def test_a_company_that_wants_each_batch_in_one_mailbox_has_it_so(office: Mailbox) -> None:
    another()
    queued(2)
    company().share_batches = False
    db.session.commit()
    assert spreading.spread() == 0
    company().share_batches = True
    db.session.commit()
    assert spreading.spread() == 1


def test_a_mailbox_whose_day_is_full_gives_its_mail_away(office: Mailbox) -> None:
    another()
    queued(2)
    office.paused_until = now() + timedelta(hours=9)
    db.session.commit()
    assert spreading.spread() == 2
    assert by_mailbox() == {ACCOUNTS: 2}


def test_little_is_not_worth_moving(office: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "WORTH_MOVING", timedelta(minutes=1))
    another()
    queued(2)
    assert spreading.spread() == 0


def test_where_nothing_waits_it_asks_once(office: Mailbox) -> None:
    another()
    assert asking.queries(spreading.spread) <= 2  # and the beginning of a transaction


# -- with the local Google -------------------------------------------------------------------------


def test_both_send_it_and_it_comes_from_one_address(
    database: str, redis_url: str, local_google: "SandboxServer", monkeypatch: pytest.MonkeyPatch
) -> None:
    def steer(noun: str, **told: object) -> None:
        requests.post(
            f"{local_google.url}/_sandbox/{noun}", json=told, timeout=5
        ).raise_for_status()

    monkeypatch.setattr(pace, "WORTH_MOVING", timedelta(seconds=0.001))
    steer("accounts", email=ACCOUNTS, name="Bright Spark Accounts")
    steer("aliases", account=ACCOUNTS, email=OFFICE, status="accepted")
    pointed = servers.pointed_at(local_google.url)
    with servers.inside(servers.config_of(DATABASE_URL=database, REDIS_URL=redis_url, **pointed)):
        factories.connected(local_google.url)
        factories.connected(local_google.url, ACCOUNTS)
        waiting = queued(4)
        delivery.drain()
        accepted = requests.get(f"{local_google.url}/_sandbox/accepted", timeout=5).json()
        assert Counter(one["mailbox"] for one in accepted) == {OFFICE: 2, ACCOUNTS: 2}
        assert all(OFFICE in one["from"] for one in accepted)
        for one in waiting:
            db.session.refresh(one)
        assert {one.state for one in waiting} == {State.ACCEPTED}
        assert len({one["headers"]["X-Sendwright-Dispatch"] for one in accepted}) == 4
