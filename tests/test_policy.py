"""The stored sender policy: one rule for everything, one more for a kind that differs."""

from collections.abc import Iterator

import pytest
from flask import Flask

from portal import mailboxes, policy
from portal.accounts import User
from portal.extensions import db
from portal.senders import Mode
from tests import factories
from tests.factories import OFFICE
from tests.test_mailboxes import account, grant

ACCOUNTS = "accounts@brightspark.example"


@pytest.fixture
def tom(app: Flask) -> Iterator[User]:
    """With a company mailbox that may send as tom@ and waits for accounts@."""
    with app.app_context():
        tom = factories.tom()
        box = mailboxes.connect(account(), grant(), owner=None)
        for email, state in ((tom.email, "accepted"), (ACCOUNTS, "pending")):
            mailboxes.want_address(box, email).verification = state
        db.session.commit()
        yield tom
        db.session.rollback()


def test_left_alone_everything_comes_from_the_company_mailbox(tom: User) -> None:
    choice = policy.choose_for("invoice", tom)
    assert choice.ready and choice.sender is not None
    assert str(choice.sender) == f"Bright Spark Plumbing <{OFFICE}>"
    assert policy.rule() is None


def test_a_kinds_rule_is_its_own_until_it_follows_the_company_again(tom: User) -> None:
    policy.set_rule("", Mode.USER)
    policy.set_rule("invoice", Mode.SPECIFIED, ACCOUNTS.upper(), "Accounts")
    invoice, quote = policy.choose_for("invoice", tom), policy.choose_for("quote", tom)
    assert invoice.sender is not None and str(invoice.sender) == f"Accounts <{ACCOUNTS}>"
    assert not invoice.ready and ACCOUNTS in invoice.problem
    assert quote.sender is not None and quote.sender.email == tom.email and quote.ready
    policy.drop_rule("invoice")
    assert policy.choose_for("invoice", tom).mode is Mode.USER
    assert policy.rule("invoice") is None


def test_storing_a_rule_again_replaces_it(tom: User) -> None:
    for mode in (Mode.USER, Mode.DEFAULT, Mode.USER):
        policy.set_rule("quote", mode)
    assert [(one.kind, one.mode) for one in policy.rules()] == [("quote", Mode.USER)]


def test_a_sample_stores_nothing(tom: User) -> None:
    policy.set_rule("invoice", Mode.USER)
    sample = policy.sample("invoice", Mode.SPECIFIED, ACCOUNTS, tom)
    assert sample.sender is not None and sample.sender.email == ACCOUNTS
    assert policy.sample("", Mode.DEFAULT, "", tom).mode is Mode.DEFAULT
    assert [one.mode for one in policy.rules()] == [Mode.USER]


def test_readiness_is_told_for_each_person(tom: User) -> None:
    nia = factories.nia()
    found = {one.user.id: one.choice for one in policy.readiness("", Mode.USER)}
    assert found[tom.id].ready
    assert not found[nia.id].ready and nia.email in found[nia.id].problem
    assert all(one.choice.ready for one in policy.readiness_now())


def test_a_person_who_left_is_not_asked_about(tom: User) -> None:
    nia = factories.nia()
    nia.active = False
    db.session.commit()
    assert [one.user.id for one in policy.readiness("", Mode.USER)] == [tom.id]
