"""How each rule stands: who is ready, how many properties wait, and what never counts."""

from collections.abc import Iterator

import pytest
from flask import Flask

from portal import policy, standing
from portal.accounts import User
from portal.extensions import db
from portal.mailboxes import Mailbox
from portal.places import Branch, Property
from portal.policy import SenderRule
from portal.senders import Mode, Place, Scope
from portal.standing import Standing
from tests import factories
from tests.factories import ACCOUNTS


@pytest.fixture
def olive(app: Flask) -> Iterator[User]:
    """With a mailbox that may send as tom@, and branches Newcastle, Gosford and Wollongong."""
    with app.app_context():
        factories.office_mailbox(accounts="pending")
        for branch, region in (
            ("Newcastle", "North"),
            ("Gosford", "North"),
            ("Wollongong", "South"),
        ):
            factories.branch(branch, region)
        yield factories.olive()
        db.session.rollback()


def at(branch: Branch) -> Place:
    return Place(Scope.BRANCH, branch.id, branch.name)


def north() -> Place:
    region = factories.branch().region
    return Place(Scope.REGION, region.id, region.name)


def only(olive: User) -> Standing:
    (found,) = standing.overview(olive.person)
    return found


def properties() -> dict[str, Property]:
    """Two of Tom's and one of Nia's in Newcastle, one of nobody's in Gosford."""
    newcastle, gosford = factories.branch(), factories.branch("Gosford")
    tom, nia = factories.tom(), factories.nia()
    made = [
        factories.site("12 Hill St", newcastle, manager=tom),
        factories.site("9 Quay St", newcastle, manager=tom),
        factories.site("3 Bay St", newcastle, manager=nia),
        factories.site("7 Kirk Ln", gosford),
    ]
    return {one.name: one for one in made}


def test_account_managers_are_counted_with_their_properties(olive: User) -> None:
    properties()
    found = standing.managers_at()
    assert [(one.user.name, one.properties) for one in found.known] == [
        ("Nia Cole", 1),
        ("Tom Baker", 2),
    ]
    assert [one.user.name for one in found.ready] == ["Tom Baker"]
    assert (found.unmanaged, found.properties, found.waiting) == (1, 4, 2)
    (nia,) = found.not_ready
    assert "nia@brightspark.example" in nia.choice.problem


def test_each_place_counts_its_own_properties(olive: User) -> None:
    sites = properties()
    hill = sites["12 Hill St"]
    for place, counts in {
        north(): (4, 2),
        at(factories.branch("Gosford")): (1, 1),
        at(factories.branch("Wollongong")): (0, 0),
        Place(Scope.CUSTOMER, hill.customer_id, "Mary Lee"): (4, 2),
        Place(Scope.PROPERTY, hill.id, hill.name): (1, 0),
    }.items():
        found = standing.managers_at(place)
        assert (found.properties, found.waiting) == counts, place


def test_a_manager_who_left_is_told_apart_from_one_who_is_not_ready(olive: User) -> None:
    properties()
    factories.tom().active = False
    db.session.commit()
    found = standing.managers_at()
    assert [one.user.name for one in found.left] == ["Tom Baker"]
    assert [one.user.name for one in found.not_ready] == ["Nia Cole"]
    assert found.waiting == 4


def test_an_archived_property_waits_for_nobody(olive: User) -> None:
    sites = properties()
    sites["7 Kirk Ln"].active = False
    db.session.commit()
    assert standing.managers_at().unmanaged == 0


@pytest.mark.parametrize(
    ("mode", "address", "ready"),
    [
        (Mode.DEFAULT, "", True),
        (Mode.SPECIFIED, "tom@brightspark.example", True),
        (Mode.SPECIFIED, ACCOUNTS, False),
        (Mode.USER, "", False),
        (Mode.ACCOUNT_MANAGER, "", False),
    ],
)
def test_a_rule_is_ready_when_everything_under_it_is(
    olive: User, mode: Mode, address: str, ready: bool
) -> None:
    properties()
    policy.set_rule("invoice", mode, address)
    assert only(olive).ready is ready


def test_a_broken_mailbox_shows_on_every_rule_that_needs_it(olive: User) -> None:
    policy.set_rule("", Mode.DEFAULT)
    box = db.session.query(Mailbox).one()
    box.health = "needs_sign_in"
    db.session.commit()
    choice = only(olive).choice
    assert choice is not None and "needs someone to sign in" in choice.problem


def test_people_who_are_not_ready_are_named(olive: User) -> None:
    factories.tom(), factories.nia()
    policy.set_rule("quote", Mode.USER)
    assert [one.name for one, _ in only(olive).people_not_ready] == ["Nia Cole", "Olive Park"]


def test_a_regions_rule_in_the_shadow_of_all_its_branches_is_found(olive: User) -> None:
    policy.set_rule("", Mode.USER, place=north())
    policy.set_rule("", Mode.DEFAULT, place=at(factories.branch("Newcastle")))
    assert [one.shadow for one in standing.overview(olive.person)] == [None, None]
    policy.set_rule("", Mode.DEFAULT, place=at(factories.branch("Gosford")))
    region, *branches = standing.overview(olive.person)
    assert region.shadow is not None and not region.shadow.partly
    assert {one.scope_name for one in region.shadow.by} == {"Newcastle", "Gosford"}
    assert [one.shadow for one in branches] == [None, None]


def test_an_archived_branch_shadows_nothing(olive: User) -> None:
    policy.set_rule("", Mode.USER, place=north())
    policy.set_rule("", Mode.DEFAULT, place=at(factories.branch("Newcastle")))
    factories.branch("Gosford").active = False
    db.session.commit()
    region, _ = standing.overview(olive.person)
    assert region.shadow is not None
    factories.branch("Newcastle").active = False
    db.session.commit()
    region, branch = standing.overview(olive.person)
    assert region.shadow is not None and region.shadow.by == () and branch.archived


def test_the_companys_rule_counts_while_mixed_batches_go_by_it(olive: User) -> None:
    policy.set_rule("", Mode.USER)
    for name in ("Newcastle", "Gosford", "Wollongong"):
        policy.set_rule("", Mode.DEFAULT, place=at(factories.branch(name)))
    company, *_ = standing.overview(olive.person)
    assert company.shadow is not None
    factories.bright_spark().mixed_batches = "company"
    db.session.commit()
    company, *_ = standing.overview(olive.person)
    assert company.shadow is None


def test_a_branch_whose_properties_all_decide_otherwise_counts_for_little(olive: User) -> None:
    sites = properties()
    policy.set_rule("", Mode.USER, place=at(factories.branch("Gosford")))
    kirk = sites["7 Kirk Ln"]
    policy.set_rule("", Mode.DEFAULT, place=Place(Scope.PROPERTY, kirk.id, kirk.name))
    branch, _ = standing.overview(olive.person)
    assert branch.shadow is not None and branch.shadow.partly


def test_the_list_goes_from_the_widest_place_to_the_narrowest(olive: User) -> None:
    hill = properties()["12 Hill St"]
    places = [
        Place(Scope.PROPERTY, hill.id, hill.name),
        at(factories.branch("Newcastle")),
        at(factories.branch("Gosford")),
        policy.COMPANY,
        north(),
    ]
    for place in places:
        policy.set_rule("quote", Mode.DEFAULT, place=place)
    policy.set_rule("", Mode.DEFAULT, place=north())
    found = [(one.rule.scope_name, one.rule.kind) for one in standing.overview(olive.person)]
    assert found == [
        ("", "quote"),
        ("North", None),
        ("North", "quote"),
        ("Gosford", "quote"),
        ("Newcastle", "quote"),
        ("12 Hill St", "quote"),
    ]
    assert db.session.query(SenderRule).count() == 6


def test_whose_own_address_counts_is_told(olive: User) -> None:
    tom = factories.tom()
    properties()
    assert standing.why_own_address_counts(tom) == ""
    policy.set_rule("invoice", Mode.ACCOUNT_MANAGER, place=north())
    assert standing.why_own_address_counts(olive) == ""
    assert standing.why_own_address_counts(tom) == (
        "mail comes from account managers, and you look after 2 properties"
    )
    policy.set_rule("quote", Mode.USER)
    assert standing.why_own_address_counts(olive) == "mail comes from whoever presses Send"
