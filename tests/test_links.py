"""A link lets one person do one thing once, for a while, and says why when it no longer does."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal import accounts, dispatch, invitations, links
from portal.columns import now
from portal.dispatch import Dispatch, Purpose
from portal.extensions import db
from portal.links import Ended, Link
from portal.links import Purpose as LinkPurpose
from tests.factories import OFFICE, PASSWORD, contact, nia, office_mailbox, olive, tom

PASSWORD_LINK, MAILBOX_LINK = LinkPurpose.PASSWORD, LinkPurpose.MAILBOX
NEW = "a brand new password"


def make(purpose: LinkPurpose = PASSWORD_LINK) -> str:
    return links.make(purpose, tom(), olive())


def test_a_link_opens_for_whom_it_was_made(app: Flask) -> None:
    with app.app_context():
        key = make()
        link = links.open(key, PASSWORD_LINK)
        assert (link.user.name, link.made_by and link.made_by.name) == ("Tom Baker", "Olive Park")
        assert link.ends_at - link.made_at > timedelta(days=6, hours=23)


def test_only_a_hash_of_the_key_is_stored(app: Flask) -> None:
    with app.app_context():
        key = make()
        stored = db.session.scalars(select(Link)).one()
        assert len(key) >= 32
        assert key not in "".join(str(value) for value in vars(stored).values())


def test_a_link_of_one_purpose_is_none_of_another(app: Flask) -> None:
    with app.app_context():
        key = make(MAILBOX_LINK)
        with pytest.raises(Ended, match="not a link of ours"):
            links.open(key, PASSWORD_LINK)
        assert links.open(key, MAILBOX_LINK)


@pytest.mark.parametrize("typed", ["", "x", "null", "\0", "a" * 5_000, "\udcff"])
def test_a_made_up_key_opens_nothing(app: Flask, typed: str) -> None:
    with app.app_context():
        make()
        with pytest.raises(Ended, match="not a link of ours"):
            links.open(typed, PASSWORD_LINK)


def test_a_newer_link_ends_the_older_one(app: Flask) -> None:
    with app.app_context():
        older, other_kind, newer = make(), make(MAILBOX_LINK), make()
        with pytest.raises(Ended, match="newer link"):
            links.open(older, PASSWORD_LINK)
        assert links.open(newer, PASSWORD_LINK) and links.open(other_kind, MAILBOX_LINK)
        nias = links.make(PASSWORD_LINK, nia(), olive())
        assert links.open(nias, PASSWORD_LINK) and links.open(newer, PASSWORD_LINK)


@pytest.mark.parametrize(
    ("purpose", "lasts"),
    [(PASSWORD_LINK, timedelta(days=7)), (MAILBOX_LINK, timedelta(hours=48))],
)
def test_a_link_runs_out(app: Flask, purpose: LinkPurpose, lasts: timedelta) -> None:
    with app.app_context():
        key = make(purpose)
        for left, opens in ((timedelta(minutes=1), True), (timedelta(0), False)):
            db.session.execute(update(Link).values(ends_at=now() + left))
            db.session.commit()
            db.session.expire_all()
            if opens:
                assert links.open(key, purpose)
            else:
                with pytest.raises(Ended, match="run out"):
                    links.open(key, purpose)
        assert links.LASTS[purpose] == lasts


def test_a_link_counts_once(app: Flask) -> None:
    with app.app_context():
        key = make()
        link = links.open(key, PASSWORD_LINK)
        links.use(link)
        db.session.commit()
        with pytest.raises(Ended, match="used before"):
            links.use(link)
        db.session.expire_all()
        with pytest.raises(Ended, match="used before"):
            links.open(key, PASSWORD_LINK)


def test_a_link_of_somebody_who_left_opens_nothing(app: Flask) -> None:
    with app.app_context():
        key = make()
        accounts.end(tom())
        with pytest.raises(Ended, match="Tom Baker may not sign in"):
            links.open(key, PASSWORD_LINK)


def test_a_set_password_ends_whatever_let_somebody_in_before(app: Flask) -> None:
    with app.app_context():
        key, mailbox_key = make(), make(MAILBOX_LINK)
        session_id = tom().get_id()
        links.set_password(links.open(key, PASSWORD_LINK), NEW)
        db.session.expire_all()
        assert accounts.sign_in("tom@brightspark.example", NEW)
        assert accounts.sign_in("tom@brightspark.example", PASSWORD) is None
        assert accounts._load(session_id) is None
        for spent, purpose in ((key, PASSWORD_LINK), (mailbox_key, MAILBOX_LINK)):
            with pytest.raises(Ended):
                links.open(spent, purpose)


def follow_the_contact(user: accounts.User) -> None:
    made = contact(first_name="Tom", email="tom.baker@brightspark.example", type="employee")
    links.take_over(user, made)


def leave_and_come_back(user: accounts.User) -> None:
    accounts.change_role(olive(), accounts.Role.MANAGER)
    links.dismiss(user)
    accounts.let_back(user)


def choose_another_password(user: accounts.User) -> None:
    links.change_password(user, PASSWORD, NEW)


@pytest.mark.parametrize("deed", [follow_the_contact, leave_and_come_back, choose_another_password])
def test_a_link_from_before_opens_nothing(
    app: Flask, deed: Callable[[accounts.User], None]
) -> None:
    with app.app_context():
        keys = {purpose: make(purpose) for purpose in (PASSWORD_LINK, MAILBOX_LINK)}
        deed(tom())
        db.session.expire_all()
        for purpose, key in keys.items():
            with pytest.raises(Ended, match="run out"):
                links.open(key, purpose)


def test_who_cannot_take_an_address_over_keeps_the_links(app: Flask) -> None:
    with app.app_context():
        key, taken = make(), contact(first_name="Tom", email=nia().email, type="employee")
        with pytest.raises(accounts.CannotChange, match="Nia Cole signs in as"):
            links.take_over(tom(), taken)
        assert links.open(key, PASSWORD_LINK)


def test_a_password_too_short_uses_nothing_up(app: Flask) -> None:
    with app.app_context():
        key = make()
        with pytest.raises(accounts.CannotChange, match="at least 10"):
            links.set_password(links.open(key, PASSWORD_LINK), "short")
        db.session.rollback()
        assert links.open(key, PASSWORD_LINK)
        assert accounts.sign_in("tom@brightspark.example", PASSWORD)


# Invitations


def invite() -> invitations.Invitation:
    return invitations.invite(tom(), PASSWORD_LINK, olive(), "https://portal.example/l/{key}")


def test_an_invitation_is_mailed_from_an_address_that_works(app: Flask) -> None:
    with app.app_context():
        office_mailbox()
        made = invite()
        mail = db.session.scalars(select(Dispatch)).one()
        assert made.mail == mail and mail.from_email == OFFICE
        assert mail.to == ["tom@brightspark.example"] and mail.purpose == Purpose.NOTICE
        assert made.url in mail.body and "Olive Park lets you sign in" in mail.body
        key = made.url.rpartition("/")[2]
        assert links.open(key, PASSWORD_LINK).user.id == tom().id


def test_each_invitation_is_a_mail_of_its_own(app: Flask) -> None:
    with app.app_context():
        office_mailbox()
        first, second = invite(), invite()
        bodies = [one.body for one in db.session.scalars(select(Dispatch).order_by(Dispatch.id))]
        assert len(bodies) == 2 and first.url in bodies[0] and second.url in bodies[1]


def test_with_no_address_that_works_nothing_is_mailed_and_the_link_is_good(app: Flask) -> None:
    with app.app_context():
        box = office_mailbox()
        box.health = "needs_sign_in"
        db.session.commit()
        made = invite()
        assert made.mail is None and not db.session.scalars(select(Dispatch)).all()
        assert links.open(made.url.rpartition("/")[2], PASSWORD_LINK)
        assert not dispatch.asked_by(olive())
