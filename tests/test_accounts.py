"""Who may sign in, and when a session ends."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from portal import accounts
from portal.accounts import CannotChange, Role, change_password, sign_in
from portal.extensions import db
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
