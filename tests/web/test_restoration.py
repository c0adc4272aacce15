"""A manager is told why nothing is sent, says what this portal is, and sees what was found."""

from dataclasses import asdict
from datetime import timedelta
from typing import Any

import pytest
from bs4 import BeautifulSoup
from flask import Flask
from sqlalchemy import select, update

from portal import instance, restoration
from portal.columns import now
from portal.dispatch import Dispatch, State
from portal.extensions import db
from portal.instance import Instance
from portal.mailboxes import Mailbox
from portal.restoration import Look
from tests import factories
from tests.visitor import Visitor, said, visitor

pytestmark = pytest.mark.sqlite_only

PAGE = "/restoration"


@pytest.fixture
def manager(app: Flask) -> Visitor:
    return visitor(app, factories.olive)


@pytest.fixture
def stopped(app: Flask) -> int:
    """A portal that was noticed to be restored, with one message waiting; the message's number."""
    with app.app_context():
        factories.office_mailbox()
        asked = factories.asked().id
        assert instance.may_work()
        instance._stop(instance.WENT_BACK, {}, {})
        db.session.remove()
        return asked


def row(app: Flask) -> dict[str, Any]:
    with app.app_context():
        one = db.session.scalars(select(Instance)).one()
        return {"stopped": one.stopped_at, "choice": one.choice, "found": one.found}


def look_is(app: Flask, stopped: bool, **look: Any) -> None:
    """Put down how far the one mailbox is looked through."""
    with app.app_context():
        box = db.session.scalars(select(Mailbox)).one()
        found = {str(box.id): asdict(Look(box.email, **look))}
        since = now() if stopped else None
        values = {"found": found, "choice": "real", "stopped_at": since}
        db.session.execute(update(Instance).values(**values))
        db.session.commit()
        db.session.remove()


def test_everybody_is_told_that_nothing_is_sent_and_managers_what_to_do(
    app: Flask, manager: Visitor, stopped: int
) -> None:
    staff = visitor(app, factories.tom)
    assert "Nothing is being sent: The portal's records went back in time" in staff.words("/")
    assert PAGE not in staff.get("/").text
    assert f'href="{PAGE}"' in manager.get("/").text
    assert "1 message waits here, and none is lost" in manager.words(PAGE)
    assert staff.get(PAGE).status_code == 403


def test_it_is_said_what_nobody_can_find_out(app: Flask, manager: Visitor, stopped: int) -> None:
    unseen = (
        "It cannot see what was both asked for after the backup and sent through a mailbox that"
    )
    assert unseen in manager.words(PAGE)
    look_is(app, stopped=False, state="done", total=3, read=3)
    for part in (False, True):
        assert unseen in said(manager.get(PAGE, htmx=part))


def test_the_real_portal_looks_first_and_says_how_far_it_is(
    app: Flask, manager: Visitor, stopped: int
) -> None:
    answer = manager.post(f"{PAGE}/real")
    assert (answer.status_code, answer.location) == (303, PAGE)
    assert row(app)["choice"] == "real" and row(app)["stopped"]
    assert "Looking for what has left already" in manager.words(PAGE)
    assert 'hx-trigger="every 3s"' in manager.get(PAGE, htmx=True).text
    look_is(app, stopped=True, state="reading", total=1200, read=300, settled=7)
    assert "300 of 1,200 read, 7 settled" in manager.words(PAGE)
    assert "Nothing is being sent yet" in manager.words("/")
    assert manager.post(f"{PAGE}/copy").status_code == 303
    assert row(app)["choice"] == "real", "what was said first counts"


def test_a_mailbox_that_cannot_be_opened_says_so_and_can_be_left_out(
    app: Flask, manager: Visitor, stopped: int
) -> None:
    look_is(app, stopped=True, state="stuck", problem="It needs someone to sign in again.")
    assert "It needs someone to sign in again" in manager.words(PAGE)
    assert manager.post(f"{PAGE}/without/1").status_code == 303
    assert "Left out" in manager.words(PAGE)
    with app.app_context():
        one = db.session.get_one(Dispatch, stopped)
        assert (one.state, one.needs_person) == (State.UNKNOWN, True)
    assert manager.post(f"{PAGE}/without/99").status_code == 404


def test_what_left_unknown_is_listed_until_somebody_has_seen_it(
    app: Flask, manager: Visitor, stopped: int
) -> None:
    mail = {"id": "1", "token": "t", "subject": "Quote QU-0007", "to": "sam@homes.example"}
    stranger = {**mail, "at": now().isoformat(), "document": 1}
    look_is(app, stopped=False, state="done", total=3, read=3, settled=1, strangers=[stranger])
    assert "1 message left after the backup" in manager.words("/")
    words = manager.words(PAGE)
    assert "Quote QU-0007" in words and "1 message had left already" in words
    assert manager.post(f"{PAGE}/seen").status_code == 303
    assert "left after the backup" not in manager.words("/")
    assert "Quote QU-0007" not in manager.words(PAGE)


def test_a_document_that_left_after_the_backup_is_sent_again_only_on_purpose(
    app: Flask, manager: Visitor, stopped: int
) -> None:
    with app.app_context():
        lost, tested = factories.document(number="INV-0077").id, factories.document().id
        db.session.remove()
    mail = {
        "id": "1",
        "token": "t",
        "at": "",
        "subject": "Invoice INV-0077",
        "to": "m@homes.example",
    }
    test = {**mail, "document": tested, "test": True}
    look_is(app, stopped=False, state="done", strangers=[{**mail, "document": lost}, test])
    manager.post(f"{PAGE}/seen")
    assert "This left before" not in manager.words(f"/documents/{tested}/dispatches/new")
    send, press = f"/documents/{lost}/dispatches/new", f"/documents/{lost}/dispatches"
    assert "“Invoice INV-0077” to m@homes.example" in manager.words(send)
    page = BeautifulSoup(manager.get(send).text, "html.parser")
    fields = page.select("#send input[type=hidden], #send input[type=text], #send textarea")
    form = {one["name"]: one.get("value") or one.text.strip() for one in fields}
    refused = manager.post(press, form)
    assert refused.status_code == 422
    assert "Tick this if it should really be sent again" in said(refused)
    assert manager.post(press, {**form, "again": "y"}).status_code == 303


def test_what_nobody_can_tell_of_is_counted_before_and_listed_until_it_is_decided(
    app: Flask, manager: Visitor, stopped: int
) -> None:
    with app.app_context():
        held = {"state": State.HELD, "hold_code": "not_linked", "mailbox_id": None}
        away = {"from_email": "nia@brightspark.example", "requested_at": now() - timedelta(hours=1)}
        db.session.execute(update(Dispatch).values(**held, **away))
        db.session.commit()
    assert "1 message does not leave by itself" in manager.words(PAGE)
    manager.post(f"{PAGE}/real")
    with app.app_context():
        db.session.execute(update(Mailbox).values(refresh_token=None))
        db.session.commit()
        restoration.settle()
        db.session.remove()
    words = manager.words(PAGE)
    assert "Somebody has to look at these: 1" in words
    assert f'href="/dispatches/{stopped}"' in manager.get(PAGE).text
    manager.post(f"/dispatches/{stopped}/settlement", {"left": "yes"})
    assert "Somebody has to look" not in manager.words(PAGE)


def test_a_copy_is_made_by_a_second_press_and_says_so_on_every_page(
    app: Flask, manager: Visitor, stopped: int
) -> None:
    assert f'href="{PAGE}/copy"' in manager.get(PAGE).text
    assert "1 message that waits is cancelled here" in manager.words(f"{PAGE}/copy")
    manager.post(f"{PAGE}/copy")
    assert (row(app)["choice"], row(app)["stopped"]) == ("copy", None)
    with app.app_context():
        assert db.session.get_one(Dispatch, stopped).state == State.CANCELLED
    assert "This is a copy of the portal, for trying out" in manager.words("/")
    assert manager.get(f"{PAGE}/copy").status_code == 303


def test_an_ordinary_portal_has_nothing_to_decide(app: Flask, manager: Visitor) -> None:
    assert "there is nothing to decide" in manager.words(PAGE)
    for deed in ("real", "copy", "seen"):
        assert manager.post(f"{PAGE}/{deed}").status_code == 303
    assert row(app) == {"stopped": None, "choice": "", "found": {}}
