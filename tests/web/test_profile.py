"""My e-mail: one's own address, mailbox and password."""

import pytest
from flask import Flask

from portal import accounts, policy
from portal.extensions import db
from portal.mailboxes import Address, Mailbox
from portal.providers.gmail import FULL_SCOPES
from portal.senders import Mode
from tests.factories import OFFICE, PASSWORD, nia, olive, tom
from tests.visitor import Visitor, said, visitor

pytestmark = pytest.mark.sqlite_only

TOM, NIA = "tom@brightspark.example", "nia@brightspark.example"


@pytest.fixture
def office(app: Flask) -> None:
    """The company's mailbox, with tom@ verified."""
    with app.app_context():
        box = Mailbox(account_sub="1", email=OFFICE, scopes=" ".join(FULL_SCOPES))
        db.session.add(box)
        db.session.flush()
        for email in (OFFICE, TOM):
            one = Address(mailbox_id=box.id, email=email, verification="accepted")
            one.is_primary = email == OFFICE
            db.session.add(one)
        db.session.commit()


def test_who_is_ready_reads_through_which_mailbox(app: Flask, office: None) -> None:
    page = visitor(app, tom).words("/profile")
    assert f"Ready Mail can leave from {TOM}, through {OFFICE}." in page
    assert "this holds nothing up" in page


def test_who_is_not_ready_reads_both_ways_out(app: Flask, office: None) -> None:
    with app.app_context():
        olive()
        policy.set_rule(policy.EVERY_KIND, Mode.USER)
    page = visitor(app, nia).words("/profile")
    assert f"No connected mailbox may send as {NIA} yet." in page
    assert f"Ask Olive Park to add {NIA} to the company mailbox." in page
    assert "Connect my mailbox" in page
    assert "This counts" in page


def test_a_manager_is_led_to_add_their_own_address(app: Flask, office: None) -> None:
    page = visitor(app, olive).get("/profile")
    assert "/mailboxes/1/addresses/new?email=olive@brightspark.example" in page.text


def change(who: Visitor, old: str, new: str, again: str | None = None) -> object:
    form = {"old": old, "new": new, "again": new if again is None else again}
    return who.post("/profile/password", form)


def test_a_new_password_ends_the_other_sessions(app: Flask) -> None:
    here, elsewhere = visitor(app, tom), visitor(app, tom)
    assert change(here, PASSWORD, "a longer new one").status_code == 303  # type: ignore[attr-defined]
    assert "Your password is changed." in here.words("/profile")
    assert elsewhere.get("/profile").status_code == 303
    with app.app_context():
        assert accounts.sign_in(TOM, "a longer new one")
        assert accounts.sign_in(TOM, PASSWORD) is None


@pytest.mark.parametrize(
    ("old", "new", "again", "sentence"),
    [
        ("wrong", "a longer new one", None, "That is not your present password."),
        (PASSWORD, "too small", None, "Choose at least 10 characters."),
        (PASSWORD, "a longer new one", "another", "The two new passwords are not the same."),
        ("", "a longer new one", None, "Write your present password."),
        (PASSWORD, "", None, "Write a new password."),
    ],
)
def test_a_password_that_cannot_be_changed_says_why(
    app: Flask, old: str, new: str, again: str | None, sentence: str
) -> None:
    answer = change(visitor(app, tom), old, new, again)
    assert answer.status_code == 422  # type: ignore[attr-defined]
    assert sentence in said(answer)  # type: ignore[arg-type]
    assert new not in answer.text or not new  # type: ignore[attr-defined]
    with app.app_context():
        assert accounts.sign_in(TOM, PASSWORD)
