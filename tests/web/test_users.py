"""People: inviting them, what they may decide, and seeing how their own mailbox is."""

import re
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from portal import accounts, history, links, queueing
from portal.accounts import Role, User
from portal.dispatch import Dispatch
from portal.extensions import db
from portal.links import Link, Purpose
from portal.mailboxes import Mailbox
from portal.providers.gmail import FULL_SCOPES
from tests.factories import OFFICE, contact, nia, office_mailbox, olive, person, tom
from tests.visitor import Visitor, said, visitor

pytestmark = pytest.mark.sqlite_only

MAX = "max.stone@brightspark.example"


@pytest.fixture
def manager(app: Flask) -> Visitor:
    return visitor(app, olive)


@pytest.fixture
def max_stone(app: Flask) -> int:
    """Max, an employee who cannot sign in yet; the contact's id."""
    with app.app_context():
        made = contact(type="employee", first_name="Max", last_name="Stone", email=MAX)
        return made.id


def id_of(app: Flask, make: Any) -> int:
    with app.app_context():
        found: int = make().id
        return found


def link_in(answer: TestResponse) -> str:
    found = re.search(r'data-copy="https?://[^/"]+(/links/[^"]+)"', answer.text)
    assert found, said(answer)
    return found[1]


def user_with(app: Flask, email: str) -> User:
    with app.app_context():
        return db.session.scalars(select(User).filter_by(email=email)).one()


# Create user


def test_a_manager_creates_a_user_from_an_employee(
    app: Flask, manager: Visitor, max_stone: int
) -> None:
    with app.app_context():
        office_mailbox()
        queueing.connection().set(queueing.ALIVE_KEY, "1")
    form = manager.words(f"/contacts/{max_stone}/user")
    assert "Let Max Stone sign in" in form and f"mailed to {MAX}" in form
    answer = manager.post(f"/contacts/{max_stone}/user", {"role": "staff"})
    assert "Max Stone can sign in now" in said(answer)
    assert f"It is on its way to {MAX}, from {OFFICE}." in said(answer)
    address = link_in(answer)
    user = user_with(app, MAX)
    assert (user.name, user.role, user.contact_id) == ("Max Stone", Role.STAFF, max_stone)
    with app.app_context():
        mail = db.session.scalars(select(Dispatch)).one()
        assert mail.to == [MAX] and address in mail.body
        assert history.of("user", user.id)[0].text == "A link to set a password was mailed to them."
    assert manager.get(f"/contacts/{max_stone}/user").location == f"/people/{user.id}"


def test_while_nothing_is_being_sent_the_page_says_so(
    app: Flask, manager: Visitor, max_stone: int
) -> None:
    with app.app_context():
        office_mailbox()
    answer = manager.post(f"/contacts/{max_stone}/user", {"role": "staff"})
    assert "not on its way yet" in said(answer) and "hand it over yourself" in said(answer)


def test_without_a_mailbox_that_works_the_link_is_handed_over(
    app: Flask, manager: Visitor, max_stone: int
) -> None:
    assert "you hand it over yourself" in manager.words(f"/contacts/{max_stone}/user")
    answer = manager.post(f"/contacts/{max_stone}/user", {"role": "manager"})
    assert "Not mailed" in said(answer) and "Copy the link" in said(answer)
    with app.app_context():
        invited = links.open(link_in(answer).rpartition("/")[2], Purpose.PASSWORD).user
        assert invited.email == MAX and invited.is_manager


@pytest.mark.parametrize(
    ("known", "sentence"),
    [
        ({"type": "customer", "email": "max@homes.example"}, "Only employees can sign in."),
        ({"type": "employee", "email": ""}, "Max Stone has no e-mail address."),
        ({"type": "employee", "email": "tom@brightspark.example"}, "Tom Baker signs in as"),
    ],
)
def test_who_cannot_be_a_user_is_led_to_the_contact(
    app: Flask, manager: Visitor, known: dict[str, str], sentence: str
) -> None:
    with app.app_context():
        tom()
        made = contact(first_name="Max", last_name="Stone", **known).id
    page = manager.get(f"/contacts/{made}/user")
    assert sentence in said(page) and "Open the contact" in said(page)
    answer = manager.post(f"/contacts/{made}/user", {"role": "staff"})
    assert answer.status_code == 422 and sentence in said(answer)
    with app.app_context():
        assert not db.session.scalars(select(Link)).all()


def test_pressing_create_twice_makes_one_user(app: Flask, manager: Visitor, max_stone: int) -> None:
    manager.post(f"/contacts/{max_stone}/user", {"role": "staff"})
    again = manager.post(f"/contacts/{max_stone}/user", {"role": "staff"})
    assert again.status_code == 422 and "a user already" in said(again)


def test_a_role_that_is_none_is_refused(app: Flask, manager: Visitor, max_stone: int) -> None:
    answer = manager.post(f"/contacts/{max_stone}/user", {"role": "owner"})
    assert answer.status_code == 422
    with app.app_context():
        assert accounts.with_email(MAX) is None


# The invitation opened by the person it is for


def test_max_chooses_a_password_and_is_in(app: Flask, manager: Visitor, max_stone: int) -> None:
    address = link_in(manager.post(f"/contacts/{max_stone}/user", {"role": "staff"}))
    guest = Guest(app)
    page = guest.get(address)
    assert "Choose your password" in said(page) and "Max Stone" in said(page)
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert "noindex" in page.headers["X-Robots-Tag"]
    assert guest.get(address).status_code == 200  # a mail program that looked ahead used nothing up
    done = guest.post(address, {"new": "correct horse", "again": "correct horse"})
    assert done.status_code == 303 and done.location == "/"
    assert "Welcome, Max Stone." in said(guest.get("/"))
    again = Guest(app).get(address)
    assert again.status_code == 410 and "used before" in said(again)


@pytest.mark.parametrize(
    ("new", "again", "sentence"),
    [
        ("short", "short", "Choose at least 10 characters."),
        ("correct horse", "correct hors", "The two passwords are not the same."),
        ("", "", "Write a password."),
    ],
)
def test_a_password_that_will_not_do_uses_the_link_not_up(
    app: Flask, manager: Visitor, max_stone: int, new: str, again: str, sentence: str
) -> None:
    address = link_in(manager.post(f"/contacts/{max_stone}/user", {"role": "staff"}))
    guest = Guest(app)
    answer = guest.post(address, {"new": new, "again": again})
    assert answer.status_code == 422 and sentence in said(answer)
    good = {"new": "correct horse", "again": "correct horse"}
    assert guest.post(address, good).status_code == 303


def test_a_newer_invitation_replaces_the_older(
    app: Flask, manager: Visitor, max_stone: int
) -> None:
    older = link_in(manager.post(f"/contacts/{max_stone}/user", {"role": "staff"}))
    user_id = user_with(app, MAX).id
    newer = link_in(manager.post(f"/people/{user_id}/links/password"))
    assert "only the newest counts" in said(Guest(app).get(older))
    assert Guest(app).get(newer).status_code == 200


def test_guessing_links_is_slowed_down(app: Flask) -> None:
    guest = Guest(app)
    answers = {guest.get(f"/links/password/guess{n}").status_code for n in range(121)}
    assert answers == {410, 429}


def test_a_reset_signs_its_owner_out_everywhere(app: Flask, manager: Visitor) -> None:
    toms = visitor(app, tom)
    address = link_in(manager.post(f"/people/{id_of(app, tom)}/links/password"))
    Guest(app).post(address, {"new": "correct horse", "again": "correct horse"})
    assert "/sign-in" in toms.get("/profile").location


# Update user


def test_a_manager_makes_tom_a_manager_and_takes_it_back(app: Flask, manager: Visitor) -> None:
    tom_id = id_of(app, tom)
    for role, other in (("manager", "staff"), ("staff", "manager")):
        answer = manager.post(f"/people/{tom_id}", {"role": role, "was": other})
        assert answer.location == f"/people/{tom_id}"
        assert user_with(app, "tom@brightspark.example").role == role
    assert "Role: Staff." in manager.words(f"/people/{tom_id}")


def test_the_last_manager_stays_one(app: Flask, manager: Visitor) -> None:
    olive_id = id_of(app, olive)
    form = {"role": "staff", "was": "manager", "sure": "y"}
    answer = manager.post(f"/people/{olive_id}", form)
    assert answer.status_code == 422 and "Olive Park is the last manager." in said(answer)
    assert "You cannot end yourself" in said(
        manager.get(manager.post(f"/people/{olive_id}/end").location)
    )


def test_nobody_gives_up_administration_without_saying_so(app: Flask, manager: Visitor) -> None:
    with app.app_context():
        person("ada", "Ada Wood", Role.MANAGER)
    olive_id = id_of(app, olive)
    form = {"role": "staff", "was": "manager"}
    answer = manager.post(f"/people/{olive_id}", form)
    assert answer.status_code == 422 and "Tick that you know it." in said(answer)
    answer = manager.post(f"/people/{olive_id}", {**form, "sure": "y"})
    assert answer.location == "/"
    assert manager.get("/people").status_code == 403


def test_a_role_changed_meanwhile_is_not_overwritten_unseen(app: Flask, manager: Visitor) -> None:
    tom_id = id_of(app, tom)
    with app.app_context():
        accounts.change_role(tom(), Role.MANAGER)
    answer = manager.post(f"/people/{tom_id}", {"role": "staff", "was": "staff"})
    assert answer.status_code == 422
    assert "Meanwhile somebody made Tom Baker a manager." in said(answer)
    was = re.search(r'name="was"[^>]*value="(\w+)"', answer.text)
    assert was and user_with(app, "tom@brightspark.example").is_manager
    again = manager.post(f"/people/{tom_id}", {"role": "staff", "was": was[1]})
    assert again.status_code == 303
    assert not user_with(app, "tom@brightspark.example").is_manager


def test_who_leaves_is_signed_out_and_can_be_let_back(app: Flask, manager: Visitor) -> None:
    toms, tom_id = visitor(app, tom), id_of(app, tom)
    assert "When Tom leaves" in manager.words(f"/people/{tom_id}")
    assert manager.post(f"/people/{tom_id}/end").status_code == 303
    assert "/sign-in" in toms.get("/profile").location
    assert "May sign in no more: 1" in manager.words("/people")
    refused = manager.post(f"/people/{tom_id}/links/password")
    assert "Let them back first." in manager.words(refused.location)
    manager.post(f"/people/{tom_id}/return")
    assert user_with(app, "tom@brightspark.example").active


def test_update_user_follows_the_contact(app: Flask, manager: Visitor, max_stone: int) -> None:
    manager.post(f"/contacts/{max_stone}/user", {"role": "staff"})
    user_id = user_with(app, MAX).id
    with app.app_context():
        holder = contact(email=MAX)
        holder.email = "max@brightspark.example"
        db.session.commit()
    assert "The contact has changed" in manager.words(f"/people/{user_id}")
    manager.post(f"/people/{user_id}/contact")
    assert user_with(app, "max@brightspark.example").id == user_id
    assert "The contact has changed" not in manager.words(f"/people/{user_id}")


# The list


def own_mailbox(user: User, health: str) -> None:
    box = Mailbox(
        account_sub=user.name,
        email=user.email,
        owner_id=user.id,
        health=health,
        scopes=" ".join(FULL_SCOPES),
        checked_at=user.signed_in_at,
    )
    db.session.add(box)
    db.session.commit()


@pytest.mark.parametrize(
    ("health", "words"),
    [
        ("connected", "Connected, not checked yet"),
        ("needs_sign_in", "Needs them to sign in again"),
        ("permission_missing", "Permission missing"),
        ("disconnected", "Not connected"),
    ],
)
def test_the_list_shows_each_mailbox_to_be_read_only(
    app: Flask, manager: Visitor, health: str, words: str
) -> None:
    with app.app_context():
        own_mailbox(nia(), health)
    page = manager.get("/people")
    row = next(one for one in re.findall(r"(?s)<tr>.*?</tr>", page.text) if "Nia Cole" in one)
    assert words in row
    assert ("Send a link" in row) == (health != "connected")
    assert "/mailboxes/connections" not in row and "disconnection" not in row


def test_the_list_says_whose_address_can_be_sent_from_and_why_not(
    app: Flask, manager: Visitor
) -> None:
    with app.app_context():
        office_mailbox()
        tom(), nia()
    page = manager.words("/people")
    assert f"Yes through {OFFICE}" in page
    assert "Not yet" in page and "nia@brightspark.example" in page


def test_staff_see_none_of_it(app: Flask) -> None:
    for address in ("/people", "/people/1", "/contacts/1/user"):
        assert visitor(app, tom).get(address).status_code == 403


class Guest(Visitor):
    """A stranger with a browser."""

    def __init__(self, app: Flask) -> None:
        self.client = app.test_client()

    def post(self, address: str, form: dict[str, Any] | None = None, **more: Any) -> TestResponse:
        page = self.client.get(address).text
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
        data = {"csrf_token": token[1] if token else "", **(form or {})}
        return self.client.post(address, data=data, **more)
