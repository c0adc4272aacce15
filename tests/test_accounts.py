"""Who may sign in, and when a session ends."""

import contextlib
import threading
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from portal import accounts
from portal.accounts import CannotChange, Role, change_password, sign_in
from portal.extensions import db
from portal.people import Contact
from tests import factories
from tests.factories import PASSWORD

TOM = "tom@brightspark.example"


@pytest.fixture
def tom(app: Flask) -> accounts.User:
    with app.app_context():
        return factories.tom()


def load(app: Flask, session_id: str) -> accounts.User | None:
    with app.app_context():
        return accounts._load(session_id)


def test_the_address_and_password_of_a_person_sign_in(app: Flask, tom: accounts.User) -> None:
    with app.app_context():
        for typed in (TOM, f"  {TOM.upper()} "):
            found = sign_in(typed, PASSWORD)
            assert found is not None and found.id == tom.id


@pytest.mark.parametrize(
    ("email", "password"),
    [
        (TOM, "a wrong password"),
        (TOM, ""),
        (TOM, PASSWORD + "\0"),
        ("max@elsewhere.example", PASSWORD),
        ("", PASSWORD),
        ("tom\0@brightspark.example", PASSWORD),
        ("tom@brightspark.example' OR 1=1 --", PASSWORD),
        ("%", PASSWORD),
        (TOM, "x" * 100_000),
    ],
)
def test_nothing_else_does(app: Flask, tom: accounts.User, email: str, password: str) -> None:
    with app.app_context():
        assert sign_in(email, password) is None


def test_a_stranger_costs_the_same_work_as_a_wrong_password(
    app: Flask, tom: accounts.User, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, verified = accounts._hasher, []

    class Counting:
        hash = staticmethod(real.hash)

        def verify(self, stored: str, password: str) -> bool:
            verified.append(stored)
            return real.verify(stored, password)

    monkeypatch.setattr(accounts, "_hasher", Counting())
    with app.app_context():
        sign_in(TOM, "wrong")
        sign_in("nobody@brightspark.example", "wrong")
    assert len(verified) == 2
    assert verified[0].split("$")[:4] == verified[1].split("$")[:4]  # the same parameters


def test_a_stored_hash_that_cannot_be_read_signs_nobody_in(app: Flask, tom: accounts.User) -> None:
    with app.app_context():
        for broken in ("", "plain text", "$argon2id$v=19$m=8,t=1,p=1$broken"):
            db.session.get_one(accounts.User, tom.id).password_hash = broken
            db.session.commit()
            assert sign_in(TOM, PASSWORD) is None


def test_a_disabled_person_cannot_sign_in_and_an_open_session_dies(
    app: Flask, tom: accounts.User
) -> None:
    session_id = tom.get_id()
    assert load(app, session_id) is not None
    with app.app_context():
        db.session.get_one(accounts.User, tom.id).active = False
        db.session.commit()
        assert sign_in(TOM, PASSWORD) is None
        assert factories.tom() not in accounts.active_people()
    assert load(app, session_id) is None


def test_a_changed_password_ends_every_session(app: Flask, tom: accounts.User) -> None:
    session_id = tom.get_id()
    with app.app_context():
        user = db.session.get_one(accounts.User, tom.id)
        change_password(user, PASSWORD, "a new password of his")
        assert sign_in(TOM, PASSWORD) is None
        assert sign_in(TOM, "a new password of his") is not None
        assert accounts._load(user.get_id()) is not None
    assert load(app, session_id) is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [("not his", "long enough now", "present password"), (PASSWORD, "short", "at least 10")],
)
def test_a_password_is_not_changed_without_reason(
    app: Flask, tom: accounts.User, old: str, new: str, said: str
) -> None:
    with app.app_context():
        user = db.session.get_one(accounts.User, tom.id)
        with pytest.raises(CannotChange, match=said):
            change_password(user, old, new)
        assert sign_in(TOM, PASSWORD) is not None
    assert load(app, tom.get_id()) is not None


@pytest.mark.sqlite_only
@pytest.mark.parametrize("made_up", ["", ":", "1", "1:", "x:y", "-1:x", "999:x", "1:wrong"])
def test_a_made_up_session_is_nobodys(app: Flask, tom: accounts.User, made_up: str) -> None:
    assert load(app, made_up) is None


def test_the_session_of_a_disabled_person_is_over_on_the_next_page(
    app: Flask, client: FlaskClient, tom: accounts.User
) -> None:
    with client.session_transaction() as session:
        session["_user_id"], session["_fresh"] = tom.get_id(), True
    assert client.get("/profile").status_code == 200
    with app.app_context():
        db.session.get_one(accounts.User, tom.id).active = False
        db.session.commit()
    answer = client.get("/profile")
    assert answer.status_code == 303 and "/sign-in" in answer.headers["Location"]


def test_managers_decide_and_staff_do_not(app: Flask, tom: accounts.User) -> None:
    with app.app_context():
        factories.olive()
        assert [one.name for one in accounts.managers()] == ["Olive Park"]
        assert Role(tom.role) is Role.STAFF and not tom.is_manager


# Users made from contacts, and what a manager does with them


def employee(**known: Any) -> Contact:
    return factories.contact(
        **{"type": "employee", "first_name": "Max", "last_name": "Stone", **known}
    )


def test_an_employee_becomes_a_user_with_a_password_nobody_knows(app: Flask) -> None:
    with app.app_context():
        contact = employee(email="Max@brightspark.example")
        user = accounts.user_from_contact(contact, Role.STAFF)
        assert (user.name, user.email) == ("Max Stone", "max@brightspark.example")
        assert accounts.user_of(contact) == user and not user.is_manager
        assert sign_in("max@brightspark.example", "") is None


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"type": "customer", "email": "max@homes.example"}, "not an employee"),
        ({"email": "max@brightspark.example", "active": False}, "inactive"),
        ({"email": ""}, "no e-mail address"),
        ({"email": "Tom@Brightspark.example"}, "Tom Baker signs in as"),
    ],
)
def test_who_cannot_become_a_user_is_told_why(
    app: Flask, tom: accounts.User, known: dict[str, Any], said: str
) -> None:
    with app.app_context():
        contact = employee(**known)
        with pytest.raises(accounts.CannotMake, match=said):
            accounts.user_from_contact(contact, Role.STAFF)
        assert accounts.user_of(contact) is None


def test_a_contact_is_one_user_at_most(app: Flask) -> None:
    with app.app_context():
        contact = employee(email="max@brightspark.example")
        accounts.user_from_contact(contact, Role.MANAGER)
        with pytest.raises(accounts.CannotMake, match="a user already"):
            accounts.user_from_contact(contact, Role.STAFF)


def test_the_last_manager_can_neither_be_demoted_nor_ended(app: Flask) -> None:
    with app.app_context():
        olive = factories.olive()
        for deed in (accounts.dismiss, lambda one: accounts.change_role(one, Role.STAFF)):
            with pytest.raises(CannotChange, match="Olive Park is the last manager"):
                deed(olive)
            assert olive.is_manager and olive.active
        accounts.change_role(factories.tom(), Role.MANAGER)
        accounts.change_role(olive, Role.STAFF)
        with pytest.raises(CannotChange, match="Tom Baker is the last manager"):
            accounts.dismiss(factories.tom())
        accounts.dismiss(olive)
        assert not olive.active


def test_two_managers_cannot_demote_each_other_together(app: Flask) -> None:
    with app.app_context():
        ids = [factories.olive().id, factories.person("ada", "Ada Wood", Role.MANAGER).id]
    start = threading.Barrier(2)

    def demote(user_id: int) -> None:
        with app.app_context(), contextlib.suppress(CannotChange):
            start.wait()
            accounts.change_role(db.session.get_one(accounts.User, user_id), Role.STAFF)

    threads = [threading.Thread(target=demote, args=(one,)) for one in ids]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    with app.app_context():
        assert len(accounts.managers()) == 1


def test_two_who_make_the_same_user_at_once_make_one_and_the_second_is_told(app: Flask) -> None:
    with app.app_context():
        contact_id = employee(email="max@brightspark.example").id
    start, told = threading.Barrier(3), []

    def press() -> None:
        with app.app_context():
            contact = db.session.get_one(Contact, contact_id)
            db.session.commit()
            start.wait()
            try:
                accounts.user_from_contact(contact, Role.STAFF)
            except accounts.CannotMake as problem:
                told.append(str(problem))

    threads = [threading.Thread(target=press) for _ in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(told) == 2 and all(" already" in one for one in told)


def test_update_user_takes_over_what_the_contact_says_now(app: Flask, tom: accounts.User) -> None:
    with app.app_context():
        contact = employee(email="max@brightspark.example")
        user = accounts.user_from_contact(contact, Role.STAFF)
        contact.last_name, contact.email = "Stone-Lee", "m.stone@brightspark.example"
        accounts.take_over(user, contact)
        assert (user.name, user.email) == ("Max Stone-Lee", "m.stone@brightspark.example")
        contact.email = "tom@brightspark.example"
        with pytest.raises(CannotChange, match="Tom Baker signs in as"):
            accounts.take_over(user, contact)
        assert user.email == "m.stone@brightspark.example"
