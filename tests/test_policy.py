"""The stored sender policy: one rule for everything, one more for a kind that differs."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm.exc import StaleDataError

from portal import history, mailboxes, policy
from portal.accounts import User
from portal.extensions import db
from portal.places import Branch, Property, Region
from portal.policy import SenderRule
from portal.senders import Mode, Place, Scope
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


# Places, and one sending


def place_of(record: Any) -> Place:
    scopes = {Branch: Scope.BRANCH, Region: Scope.REGION, Property: Scope.PROPERTY}
    return Place(scopes.get(type(record), Scope.CUSTOMER), record.id, record.name)


def test_a_property_decides_before_its_customer_branch_region_and_company(tom: User) -> None:
    hill = factories.site(at=factories.branch("Newcastle", "North"), manager=tom)
    invoice = factories.document(site=hill)
    assert hill.branch is not None
    chain = [policy.COMPANY, *map(place_of, (hill.branch.region, hill.branch, hill.customer, hill))]
    for place in chain:
        policy.set_rule("", Mode.USER, place=place)
        choice = policy.sender_of(invoice, tom)
        assert choice.rule is not None and choice.rule.place == place
    for place in reversed(chain):
        rule = policy.sender_of(invoice, tom).rule
        assert rule is not None and rule.place == place
        policy.drop_rule("", place)
    assert policy.sender_of(invoice, tom).mode is Mode.DEFAULT


def test_the_account_manager_of_the_property_sends_whoever_presses(tom: User) -> None:
    policy.set_rule("invoice", Mode.ACCOUNT_MANAGER)
    hill, quay = factories.site(manager=tom), factories.site("9 Quay St")
    managed = policy.sender_of(factories.document(site=hill), factories.nia())
    assert managed.ready and managed.sender is not None
    assert str(managed.sender) == f"Tom Baker at Bright Spark Plumbing <{tom.email}>"
    nobody = policy.sender_of(factories.document(site=quay), tom)
    assert nobody.problem == "9 Quay St has no account manager."


def test_a_place_is_named_in_one_word_and_found_by_it(tom: User) -> None:
    branch = factories.branch()
    place = place_of(branch)
    assert policy.place_named(policy.target(place)) == place
    assert policy.place_named("company") == policy.COMPANY
    for word in (
        "",
        "branch:0",
        "branch:999",
        "branch:x",
        "sending:1",
        "moon:1",
        "branch:" + "9" * 30,
    ):
        assert policy.place_named(word) is None


def test_what_changes_in_the_policy_is_told_with_who_did_it(tom: User) -> None:
    place = place_of(factories.branch())
    policy.set_rule("invoice", Mode.SPECIFIED, ACCOUNTS, place=place, actor="Olive Park")
    policy.set_rule("invoice", Mode.USER, place=place, actor="Olive Park")
    policy.set_rule("invoice", Mode.USER, place=place, actor="Tom Baker")  # nothing new
    policy.drop_rule("invoice", place, actor="Tom Baker")
    told = [(one.text, one.actor) for one in history.of(policy.POLICY, 0)]
    assert told == [
        ("Invoices of the branch Newcastle: no longer has a rule there.", "Tom Baker"),
        (
            "Invoices of the branch Newcastle: now come from whoever presses Send, "
            f"no longer {ACCOUNTS}.",
            "Olive Park",
        ),
        (f"Invoices of the branch Newcastle: now come from {ACCOUNTS}.", "Olive Park"),
    ]


def test_two_people_storing_one_rule_at_the_same_moment_do_not_overwrite(tom: User) -> None:
    policy.set_rule("invoice", Mode.USER)
    stored = policy.stored_at("invoice", policy.COMPANY)
    assert stored is not None and stored.version == 1
    theirs = update(SenderRule).values(mode="default", version=2)
    db.session.execute(theirs, execution_options={"synchronize_session": False})
    with pytest.raises(StaleDataError):
        policy.set_rule("invoice", Mode.SPECIFIED, ACCOUNTS)
    db.session.rollback()


def test_a_rule_belongs_to_exactly_one_place(tom: User) -> None:
    branch = factories.branch()
    for columns in ({}, {"branch_id": branch.id, "region_id": branch.region_id}):
        db.session.add(
            SenderRule(scope="branch", target="branch:1", kind="", mode="user", **columns)
        )
        with pytest.raises(IntegrityError):
            db.session.flush()
        db.session.rollback()


def test_for_one_sending_a_manager_may_choose_who_is_verified(tom: User) -> None:
    olive, hill = factories.olive(), factories.site(manager=factories.nia())
    invoice = factories.document(site=hill)
    found = policy.once_choices(invoice, olive)
    senders_ = [one.sender.email for one in found if one.sender]
    assert senders_ == [OFFICE, olive.email, factories.nia().email, tom.email]
    assert ACCOUNTS not in senders_  # not confirmed yet
    keys = [policy.once_key(one) for one in found]
    assert keys == ["default", "user", "account_manager", f"specified:{tom.email}"]
    once = policy.once_named(keys[3], invoice, olive)
    choice = policy.sender_of(invoice, olive, once)
    assert choice.ready and choice.reason == (
        f"Chosen for this sending by Olive Park: it comes from {tom.email}."
    )
    assert policy.once_named(f"specified:{ACCOUNTS}", invoice, olive) is None


def test_who_may_choose_for_one_sending_is_a_setting(tom: User) -> None:
    invoice = factories.document()
    assert not policy.may_choose_once(tom)
    assert policy.once_choices(invoice, tom) == []
    assert policy.once_named("default", invoice, tom) is None
    factories.bright_spark().one_off = "everyone"
    db.session.commit()
    assert policy.may_choose_once(tom)
    assert [policy.once_key(one) for one in policy.once_choices(invoice, tom)] == [
        "default",
        "user",
    ]
