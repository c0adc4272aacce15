"""What came back, and who is told of it by mail: once, together, and not against their will."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import update

from portal import breakdowns, returns
from portal.accounts import User
from portal.bounces import Arrival, Standing, Tie
from portal.columns import now
from portal.dispatch import Dispatch, Purpose, State
from portal.extensions import db
from portal.incoming import Sort
from portal.mailboxes import Mailbox
from tests import factories
from tests.factories import OFFICE
from tests.visitor import visitor

MARY = "mary.lee@homes.example"


@pytest.fixture
def office(app: Flask) -> Iterator[Mailbox]:
    with app.app_context():
        yield factories.office_mailbox()


def came_back(number: str = "INV-0042", minutes: float = 10, **more: object) -> Arrival:
    """One of Tom's invoices came back, and that was read so many minutes ago."""
    one = factories.asked(factories.document(number=number))
    one.state = State.RETURNED
    failed = {"email": MARY, "verdict": "hard", "reason": "no_such_address"}
    kept = {"mailbox_id": one.mailbox_id, "provider_id": f"m{one.id}", "at": now(), "whole": True}
    kept |= {"sort": Sort.BOUNCE, "standing": Standing.FOLLOWED, "tied_by": Tie.TOKEN}
    seen = now() - timedelta(minutes=minutes)
    made = Arrival(**kept | more, dispatch_id=one.id, seen_at=seen)
    made.failed = [{**failed, "status": "5.1.1", "words": "no such user"}]
    db.session.add(made)
    db.session.commit()
    return made


def test_whoever_pressed_send_hears_of_it_with_the_reason_and_the_way(office: Mailbox) -> None:
    arrival = came_back()
    assert returns.tell() == 1
    [mail] = factories.notices()
    assert (mail.to, mail.from_email) == (["tom@brightspark.example"], OFFICE)
    assert mail.subject == "INV-0042 came back"
    assert f"{MARY}: This address does not exist." in mail.body
    assert f"/dispatches/{arrival.dispatch_id}" in mail.body
    assert "/profile" in mail.body  # where it is switched off
    assert returns.tell() == 0 and len(factories.notices()) == 1


def test_what_comes_back_together_is_told_together(office: Mailbox) -> None:
    came_back("INV-1", minutes=4)
    assert returns.tell() == 0  # more may come
    came_back("INV-2", minutes=6)
    assert returns.tell() == 1
    [mail] = factories.notices()
    assert mail.subject == "2 messages came back"
    assert mail.body.index("INV-2") < mail.body.index("INV-1")
    came_back("INV-3")
    assert returns.tell() == 1 and "INV-2" not in factories.notices()[1].body


@pytest.mark.sqlite_only
def test_a_message_that_came_back_for_two_is_told_of_once(office: Mailbox) -> None:
    first = came_back()
    failed = {"email": "bob@homes.example", "verdict": "soft", "reason": "mailbox_full"}
    again = {"mailbox_id": first.mailbox_id, "provider_id": "again", "tied_by": Tie.TOKEN}
    again |= {"sort": Sort.BOUNCE, "standing": Standing.FOLLOWED, "whole": True, "at": now()}
    second = Arrival(**again, dispatch_id=first.dispatch_id, seen_at=first.seen_at)
    second.failed = [{**failed, "status": "4.2.2", "words": "over quota"}]
    db.session.add(second)
    db.session.commit()
    assert returns.tell() == 1
    [mail] = factories.notices()
    assert mail.subject == "INV-0042 came back" and mail.body.count("/dispatches/") == 1
    assert f"{MARY}: This" in mail.body and "bob@homes.example: Their mailbox is full." in mail.body


@pytest.mark.sqlite_only
def test_of_a_flood_one_mail_names_twenty(office: Mailbox) -> None:
    for number in range(23):
        came_back(f"INV-{number}")
    assert returns.tell() == 1
    [mail] = factories.notices()
    assert mail.body.count("/dispatches/") == 20 and "And 3 more" in mail.body


@pytest.mark.parametrize("why", ["unwanted", "left", "test", "said so", "old"])
def test_nobody_is_told_who_need_not_be(why: str, office: Mailbox) -> None:
    arrival = came_back(minutes=3 * 24 * 60 if why == "old" else 10)
    if why in ("unwanted", "left"):
        off = {"told_of_returns": False} if why == "unwanted" else {"active": False}
        db.session.execute(update(User).where(User.name == "Tom Baker").values(off))
    elif why == "test":
        db.session.execute(update(Dispatch).values(purpose=Purpose.TEST))
    elif why == "said so":
        arrival.tied_by = Tie.PERSON
    db.session.commit()
    assert returns.tell() == 0 and factories.notices() == []
    assert db.session.get_one(Arrival, arrival.id, populate_existing=True).told_at


def test_what_is_only_a_guess_or_no_return_tells_nobody(office: Mailbox) -> None:
    came_back("INV-1", standing=Standing.ASKED)
    came_back("INV-2", sort=Sort.REPLY)
    assert returns.tell() == 0 and factories.notices() == []


def test_where_nothing_can_send_it_is_told_later(office: Mailbox) -> None:
    came_back()
    office.paused_until = now() + timedelta(minutes=5)
    db.session.commit()
    assert returns.tell() == 0
    office.paused_until = None
    db.session.commit()
    assert returns.tell() == 1


def test_of_two_workers_one_tells(office: Mailbox) -> None:
    arrival = came_back()
    with db.engine.begin() as other:
        other.execute(update(Arrival).values(told_at=now()))
    way = breakdowns.way_to(factories.tom(), 0)
    assert way is not None
    assert not returns._is_told(factories.tom().id, [arrival.id], way)
    assert factories.notices() == []


def test_a_person_switches_it_off_and_on(app: Flask) -> None:
    trader = visitor(app, factories.tom)

    def wants() -> bool:
        with app.app_context():
            return factories.tom().told_of_returns

    assert wants() and "Mail me when something I sent comes back" in trader.words("/profile")
    answer = trader.post("/profile/hearing", {})
    assert answer.location == "/profile#hearing-title" and not wants()
    trader.post("/profile/hearing", {"returns": "y"})
    assert wants()
