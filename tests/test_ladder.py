"""The ladder shows the climb that decides, and finds every rule that no document can reach."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.ladder import CLIMB, Site, Tree, explain, shadowed
from portal.senders import Case, Mode, Person, Place, Rule, Scope, rule_for

TOM = Person(1, "Tom Baker", "tom@b.example")
KINDS = ("invoice", "quote")
#: North has Newcastle and Gosford, South has Wollongong; East has no branch yet.
REGIONS = {10: "North", 11: "South", 12: "East"}
BRANCHES = {20: 10, 21: 10, 22: 11}
#: Mary has two properties in Newcastle, Harbour Strata one in Gosford and one in Wollongong.
SITES = (Site(40, 30, 20), Site(41, 30, 20), Site(42, 31, 21), Site(43, 31, 22))
#: Somebody whom no rule knows: there is always such a customer.
ANYBODY = 39
SPOTS = [
    *product([Scope.COMPANY], [0], [None, *KINDS]),
    *product([Scope.REGION], REGIONS, [None, *KINDS]),
    *product([Scope.BRANCH], BRANCHES, [None, *KINDS]),
    *product([Scope.CUSTOMER], [30, 31], [None, *KINDS]),
    *product([Scope.PROPERTY], [40, 41, 42, 43], [None, *KINDS]),
]
stored_rules = st.sets(st.sampled_from(SPOTS), max_size=24).map(
    lambda spots: [at(*spot) for spot in sorted(spots, key=str)]
)


def at(scope: Scope, id_: int, kind: str | None = None) -> Rule:
    return Rule(Mode.DEFAULT, kind, "", "", scope, id_, f"{scope} {id_}")


def tree(rules: list[Rule], *, reaches_company: bool = False) -> Tree:
    """What the stored rules need to know of the places, as standing.py reads it."""
    ruled = {(one.scope, one.scope_id) for one in rules}
    sites = [
        one
        for one in SITES
        if (Scope.PROPERTY, one.id) in ruled or (Scope.CUSTOMER, one.customer_id) in ruled
    ]
    return Tree(
        branches=BRANCHES,
        sites=tuple(sites),
        in_branch={20: 2, 21: 1, 22: 1},
        of_customer={30: 2, 31: 2},
        reaches_company=reaches_company,
    )


def chain(branch: int | None, customer: int, site: int | None = None) -> tuple[Place, ...]:
    ids = {
        Scope.REGION: BRANCHES.get(branch or 0),
        Scope.BRANCH: branch,
        Scope.CUSTOMER: customer,
        Scope.PROPERTY: site,
    }
    return tuple(Place(scope, id_, f"{scope} {id_}") for scope, id_ in ids.items() if id_)


#: Every way a document can hang, with and without a property.
LOOSE = [chain(branch, customer) for branch in BRANCHES for customer in (ANYBODY, 30, 31)]
SETTLED = [chain(one.branch_id, one.customer_id, one.id) for one in SITES]


def reached(rules: list[Rule], chains: list[tuple[Place, ...]]) -> set[Rule]:
    """The rules that decide about some document, by asking for every one there can be."""
    cases = [Case(kind, "", TOM, places) for kind, places in product(KINDS, chains)]
    return {rule_for(case, rules) for case in cases}


@given(stored_rules, st.sampled_from(LOOSE + SETTLED), st.sampled_from(KINDS), st.booleans())
def test_the_rung_that_counts_holds_the_rule_that_decides(
    rules: list[Rule], places: tuple[Place, ...], kind: str, company_only: bool
) -> None:
    case = Case(kind, "", TOM, places, company_only=company_only)
    rungs = explain(case, rules)
    assert tuple(one.scope for one in rungs) == CLIMB
    (winner,) = [one for one in rungs if one.counts]
    assert (winner.rule or Rule(Mode.DEFAULT)) == rule_for(case, rules)
    assert not winner.aside
    for one in rungs[: rungs.index(winner)]:
        assert one.aside or one.rule is None


@given(stored_rules)
def test_what_can_never_count_is_just_what_no_document_reaches(rules: list[Rule]) -> None:
    found = shadowed(rules, tree(rules), KINDS)
    never = {rule for rule in rules if rule.key in found and not found[rule.key].partly}
    assert never == set(rules) - reached(rules, LOOSE + SETTLED)


@given(stored_rules)
def test_what_counts_for_little_is_reached_without_a_property_alone(rules: list[Rule]) -> None:
    found = shadowed(rules, tree(rules), KINDS)
    partly = {rule for rule in rules if rule.key in found and found[rule.key].partly}
    small = {rule for rule in rules if rule.scope in (Scope.BRANCH, Scope.CUSTOMER)}
    loose, settled = reached(rules, LOOSE), reached(rules, SETTLED)
    assert partly == {rule for rule in small if rule in loose and rule not in settled}


@given(stored_rules)
def test_the_rules_that_stand_before_are_stored_ones(rules: list[Rule]) -> None:
    for shadow in shadowed(rules, tree(rules), KINDS).values():
        assert set(shadow.by) <= set(rules)
        assert shadow.why.endswith(".")


@given(stored_rules)
def test_while_something_goes_straight_to_the_company_its_rules_count(rules: list[Rule]) -> None:
    found = shadowed(rules, tree(rules, reaches_company=True), KINDS)
    never = {rule for rule in rules if rule.key in found and not found[rule.key].partly}
    assert never == set(rules) - reached(rules, [*LOOSE, *SETTLED, ()])


@pytest.mark.parametrize(
    ("rules", "why", "by"),
    [
        (
            [at(Scope.COMPANY, 0), at(Scope.COMPANY, 0, "invoice"), at(Scope.COMPANY, 0, "quote")],
            "Every kind of document has its own rule there.",
            ["company 0", "company 0"],
        ),
        (
            [at(Scope.REGION, 10), at(Scope.BRANCH, 20), at(Scope.BRANCH, 21)],
            "Each of its branches has its own rule.",
            ["branch 20", "branch 21"],
        ),
        ([at(Scope.REGION, 12)], "No branch in use lies in this region.", []),
        (
            [at(Scope.CUSTOMER, 30), at(Scope.PROPERTY, 40), at(Scope.PROPERTY, 41)],
            "It counts only for documents without a property: a rule stands first at each"
            " property.",
            ["property 40", "property 41"],
        ),
    ],
)
def test_a_shadow_says_what_stands_before(rules: list[Rule], why: str, by: list[str]) -> None:
    shadow = shadowed(rules, tree(rules, reaches_company=True), KINDS)[rules[0].key]
    assert (shadow.why, [one.scope_name for one in shadow.by]) == (why, by)
