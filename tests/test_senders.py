"""The sender policy never puts one address in the place of another, and always says why."""

from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.senders import (
    Case,
    Choice,
    Consent,
    Mode,
    Person,
    Place,
    Rule,
    Said,
    Scope,
    SendFrom,
    Trouble,
    choose,
    find,
    rule_for,
    trouble_with,
)

EMAILS = ["office@b.example", "tom@b.example", "nia@b.example", "accounts@b.example"]
PEOPLE = [Person(1, "Tom Baker", "tom@b.example"), Person(2, "Nia Cole", "Nia@B.example")]
KINDS = ["invoice", "quote"]
STATES = ["accepted", "pending", "lost", "wanted", "unseen", "mistrusted"]

emails = st.sampled_from(EMAILS).flatmap(lambda one: st.sampled_from([one, one.upper()]))
rules = st.builds(
    Rule,
    mode=st.sampled_from([Mode.DEFAULT, Mode.USER, Mode.SPECIFIED]),
    kind=st.sampled_from([None, *KINDS]),
    address=emails | st.just(""),
    name=st.sampled_from(["", "Accounts"]),
)
owners = {1: None, 2: None, 3: 1, 4: 2}


def send_from(email: str, mailbox: int, state: str, primary: bool, works: bool) -> SendFrom:
    why = "" if works else f"mailbox {mailbox} needs someone to sign in."
    return SendFrom(email, "", mailbox, f"box{mailbox}@b.example", owners[mailbox], state, primary,
                    works, why)  # fmt: skip


addresses = st.lists(
    st.builds(
        send_from,
        emails,
        st.sampled_from([1, 2, 3, 4]),
        st.sampled_from(STATES),
        st.booleans(),
        st.booleans(),
    ),
    max_size=8,
)


def chosen(
    rules_: list[Rule], known: list[SendFrom], person: Person = PEOPLE[0], kind: str = "invoice"
) -> Choice:
    return choose(
        Case(kind, f"{kind}s", person),
        company="Bright Spark",
        rules=rules_,
        addresses=known,
    )


@given(st.lists(rules, max_size=4), addresses, st.sampled_from(PEOPLE), st.sampled_from(KINDS))
def test_the_address_is_the_one_promised_or_none(
    stored: list[Rule], known: list[SendFrom], person: Person, kind: str
) -> None:
    rule, choice = rule_for(Case(kind, "", person), stored), chosen(stored, known, person, kind)
    assert choice.mode is rule.mode
    promised = {
        Mode.USER: person.email,
        Mode.SPECIFIED: rule.address,
        Mode.DEFAULT: next((one.email for one in known if one.owner_id is None and one.is_primary
                            and one.mailbox_id == _first_company(known)), ""),
    }[rule.mode]  # fmt: skip
    if choice.sender is None:
        assert promised == ""
    else:
        assert choice.sender.email == promised


@given(st.lists(rules, max_size=4), addresses, st.sampled_from(PEOPLE))
def test_ready_means_accepted_in_the_very_mailbox_that_carries_it(
    stored: list[Rule], known: list[SendFrom], person: Person
) -> None:
    choice = chosen(stored, known, person)
    if not choice.ready:
        assert choice.problem and choice.trouble in list(Trouble)
        return
    assert choice.sender is not None and choice.problem == ""
    carrying = [
        one
        for one in known
        if one.mailbox_id == choice.mailbox_id
        and one.email.lower() == choice.sender.email.lower()
        and one.verification == "accepted"
        and one.can_send
    ]
    assert carrying
    assert choice.mailbox_email == carrying[0].mailbox_email


@given(st.lists(rules, max_size=4), addresses, st.sampled_from(PEOPLE))
def test_nobodys_own_mailbox_carries_other_peoples_mail(
    stored: list[Rule], known: list[SendFrom], person: Person
) -> None:
    choice = chosen(stored, known, person)
    if choice.mailbox_id is None or owners[choice.mailbox_id] in (None, person.id):
        return
    # but for an address that is that mailbox's own, which somebody asked for by name
    assert choice.sender is not None
    assert any(
        one.is_primary and one.mailbox_id == choice.mailbox_id
        for one in known
        if one.email.lower() == choice.sender.email.lower()
    )


@given(st.lists(rules, max_size=4), addresses, st.sampled_from(PEOPLE))
def test_the_reason_names_the_rule_and_a_problem_names_the_address(
    stored: list[Rule], known: list[SendFrom], person: Person
) -> None:
    choice = chosen(stored, known, person)
    assert choice.reason.startswith("Company rule: ") and choice.reason.endswith(".")
    if choice.mode is Mode.USER:
        assert person.name in choice.reason
    if choice.mode is Mode.SPECIFIED and choice.sender:
        assert choice.sender.email in choice.reason
    named = choice.trouble not in (None, Trouble.MAILBOX, Trouble.NO_ADDRESS, Trouble.NO_MAILBOX)
    if named and choice.sender:
        assert choice.sender.email.lower() in choice.problem.lower()


@given(st.lists(rules, max_size=3), addresses, st.sampled_from(PEOPLE))
def test_capitals_change_nothing(stored: list[Rule], known: list[SendFrom], person: Person) -> None:
    shouted = [replace(one, email=one.email.upper()) for one in known]
    whispered = [replace(one, email=one.email.lower()) for one in known]
    one, other = chosen(stored, shouted, person), chosen(stored, whispered, person)
    assert (one.mailbox_id, one.trouble) == (other.mailbox_id, other.trouble)


@given(emails, addresses, st.integers(0, 8))
def test_what_is_ready_is_preferred_to_what_is_not(
    email: str, known: list[SendFrom], at: int
) -> None:
    ready = send_from(email, 1, "accepted", primary=False, works=True)
    found = find(email, [*known[:at], ready, *known[at:]])
    assert trouble_with(email, found) == (None, "")


answers = st.fixed_dictionaries({email: st.sampled_from(Said) for email in EMAILS[1:3]})


@given(st.lists(rules, max_size=4), addresses, st.sampled_from(PEOPLE), answers)
def test_nothing_is_ready_to_leave_under_the_address_of_who_has_not_agreed(
    stored: list[Rule], known: list[SendFrom], person: Person, said: dict[str, Said]
) -> None:
    asked = [_with_answer(one, said) for one in known]
    choice, before = chosen(stored, asked, person), chosen(stored, known, person)
    assert (choice.sender and choice.sender.email) == (before.sender and before.sender.email)
    answer = said.get(choice.sender.email.lower(), Said.AGREED) if choice.sender else Said.AGREED
    if answer is Said.AGREED:
        assert choice.ready == before.ready
    else:
        assert not choice.ready
    if choice.trouble is Trouble.CONSENT:
        assert choice.problem.startswith("Somebody ")
    if choice.ready and choice.sender and choice.sender.email.lower() in said:
        owned = choice.mode is not Mode.DEFAULT
        assert not owned or choice.evidence.endswith("Somebody said so.")


def _with_answer(one: SendFrom, said: dict[str, Said]) -> SendFrom:
    answer = said.get(one.email.lower())
    if answer is None:
        return one
    return replace(one, consent=Consent("Somebody", answer, "Somebody said so."))


def test_a_kinds_own_rule_comes_before_the_companys_and_default_is_the_last() -> None:
    own, company = Rule(Mode.USER, "invoice"), Rule(Mode.SPECIFIED, None, "office@b.example")
    assert rule_for(Case("invoice", "", PEOPLE[0]), [company, own]) is own
    assert rule_for(Case("quote", "", PEOPLE[0]), [company, own]) is company
    assert rule_for(Case("quote", "", PEOPLE[0]), []).mode is Mode.DEFAULT


def test_default_never_falls_to_another_mailbox() -> None:
    lost = send_from("office@b.example", 1, "lost", primary=False, works=True)
    other = send_from("accounts@b.example", 2, "accepted", primary=True, works=True)
    choice = chosen([], [lost, other])
    assert choice.sender is None and choice.trouble is Trouble.NO_MAILBOX


def test_a_persons_own_mailbox_is_preferred_for_their_own_address() -> None:
    company = send_from("tom@b.example", 1, "accepted", primary=False, works=True)
    own = send_from("tom@b.example", 3, "accepted", primary=True, works=True)
    choice = chosen([Rule(Mode.USER)], [company, own])
    assert (choice.mailbox_id, choice.ready) == (3, True)
    broken = replace(own, can_send=False, why_not="sign in")
    assert chosen([Rule(Mode.USER)], [company, broken]).mailbox_id == 1


@pytest.mark.parametrize("state", STATES[1:])
def test_every_state_but_accepted_says_what_is_wrong(state: str) -> None:
    one = send_from("tom@b.example", 1, state, primary=False, works=True)
    trouble, sentence = trouble_with("tom@b.example", one)
    assert trouble is not None and "tom@b.example" in sentence and sentence.endswith(".")


# Against tables: what the office was promised, line by line

#: Where a rule may stand for an invoice of 12 Hill St, the first to be asked on top.
PRECEDENCE = (
    ("property", 40, "invoice"),
    ("property", 40, None),
    ("customer", 30, "invoice"),
    ("customer", 30, None),
    ("branch", 20, "invoice"),
    ("branch", 20, None),
    ("region", 10, "invoice"),
    ("region", 10, None),
    ("company", 0, "invoice"),
    ("company", 0, None),
)
#: Where rules may stand that have nothing to do with it.
ELSEWHERE = (
    ("property", 40, "quote"),
    ("property", 41, "invoice"),
    ("customer", 31, None),
    ("branch", 21, None),
    ("region", 11, "invoice"),
    ("company", 0, "quote"),
)
NAMES = {"property": "12 Hill St", "customer": "Mary Lee", "branch": "Newcastle", "region": "North"}
HILL_ST = (
    Place(Scope.REGION, 10, "North"),
    Place(Scope.BRANCH, 20, "Newcastle"),
    Place(Scope.CUSTOMER, 30, "Mary Lee"),
    Place(Scope.PROPERTY, 40, "12 Hill St"),
)
PRIYA = Person(3, "Priya Nair", "priya@b.example")


def hill_st(person: Person = PEOPLE[0], **more: Any) -> Case:
    known = {"places": HILL_ST, "manager": PRIYA, "about": "12 Hill St", **more}
    return Case("invoice", "invoices", person, **known)


def at(spot: tuple[str, int, str | None], mode: Mode = Mode.DEFAULT, address: str = "") -> Rule:
    scope, id_, kind = spot
    return Rule(mode, kind, address, "", Scope(scope), id_, NAMES.get(scope, ""))


@given(st.sets(st.sampled_from(PRECEDENCE + ELSEWHERE)), st.randoms(use_true_random=False))
def test_the_first_line_of_the_table_that_has_a_rule_decides(
    spots: set[tuple[str, int, str | None]], dice: Random
) -> None:
    stored = [at(spot) for spot in spots]
    dice.shuffle(stored)
    promised = next((spot for spot in PRECEDENCE if spot in spots), ("company", 0, None))
    rule = rule_for(hill_st(), stored)
    assert (str(rule.scope), rule.scope_id, rule.kind) == promised


@given(st.sets(st.sampled_from(PRECEDENCE)))
def test_a_batch_over_several_branches_may_go_by_the_last_two_lines_alone(
    spots: set[tuple[str, int, str | None]],
) -> None:
    case = hill_st(company_only=True)
    promised = next((spot for spot in PRECEDENCE[-2:] if spot in spots), ("company", 0, None))
    rule = rule_for(case, [at(spot) for spot in spots])
    assert (str(rule.scope), rule.scope_id, rule.kind) == promised
    choice = choose(case, company="Bright Spark", rules=[], addresses=[])
    assert choice.reason.startswith("This batch covers several branches. Company rule: ")


#: A mode, what is true of the manager: the address promised (None: nobody), and the trouble.
MODES: tuple[tuple[Mode, Person | None, str | None, Trouble | None], ...] = (
    (Mode.DEFAULT, PRIYA, "office@b.example", None),
    (Mode.DEFAULT, None, "office@b.example", None),
    (Mode.USER, PRIYA, "tom@b.example", None),
    (Mode.ACCOUNT_MANAGER, PRIYA, "priya@b.example", Trouble.NOT_LINKED),
    (Mode.ACCOUNT_MANAGER, PEOPLE[1], "Nia@B.example", None),
    (Mode.ACCOUNT_MANAGER, None, None, Trouble.NO_MANAGER),
    (Mode.ACCOUNT_MANAGER, replace(PEOPLE[1], active=False), None, Trouble.MANAGER_LEFT),
    (Mode.SPECIFIED, PRIYA, "accounts@b.example", Trouble.PENDING),
    (Mode.RELAY, PRIYA, None, Trouble.NO_RELAY),
)
OURS = [
    send_from("office@b.example", 1, "accepted", primary=True, works=True),
    send_from("tom@b.example", 1, "accepted", primary=False, works=True),
    send_from("nia@b.example", 1, "accepted", primary=False, works=True),
    send_from("accounts@b.example", 1, "pending", primary=False, works=True),
]


@pytest.mark.parametrize(("mode", "manager", "promised", "trouble"), MODES)
@pytest.mark.parametrize("spot", PRECEDENCE)
def test_each_mode_means_the_same_wherever_the_rule_stands(
    spot: tuple[str, int, str | None],
    mode: Mode,
    manager: Person | None,
    promised: str | None,
    trouble: Trouble | None,
) -> None:
    rule = at(spot, mode, "accounts@b.example" if mode is Mode.SPECIFIED else "")
    case = hill_st(manager=manager)
    choice = choose(case, company="Bright Spark", rules=[rule], addresses=OURS)
    assert (choice.sender.email if choice.sender else None) == promised
    assert choice.trouble is trouble and choice.ready is (trouble is None)
    assert bool(choice.problem) is (trouble is not None)
    assert choice.rule == rule


#: A mailbox of the owner's, one of the company's: verified and working? Which one carries it.
CARRIERS = (
    (("accepted", True), ("accepted", True), 3),
    (("accepted", True), ("pending", True), 3),
    (("accepted", True), None, 3),
    (("accepted", False), ("accepted", True), 1),
    (("pending", True), ("accepted", True), 1),
    (("lost", True), ("accepted", True), 1),
    (None, ("accepted", True), 1),
    (("accepted", False), ("accepted", False), 3),
    (("pending", True), ("pending", True), 3),
    (None, None, None),
)


@pytest.mark.parametrize(("own", "company", "carrier"), CARRIERS)
@pytest.mark.parametrize("mode", [Mode.USER, Mode.ACCOUNT_MANAGER, Mode.SPECIFIED])
def test_an_address_of_two_mailboxes_goes_by_its_owners_and_never_changes(
    mode: Mode,
    own: tuple[str, bool] | None,
    company: tuple[str, bool] | None,
    carrier: int | None,
) -> None:
    tom = PEOPLE[0]
    known = [
        send_from(tom.email, box, state[0], primary=box == 3, works=state[1])
        for box, state in ((1, company), (3, own))
        if state is not None
    ]
    rule = Rule(mode, "invoice", tom.email if mode is Mode.SPECIFIED else "")
    sender = PEOPLE[1] if mode is not Mode.USER else tom  # somebody else may press Send
    case = hill_st(sender, manager=tom)
    choice = choose(case, company="Bright Spark", rules=[rule], addresses=known)
    assert choice.sender is not None and choice.sender.email == tom.email
    assert choice.mailbox_id == carrier


#: The sentence under every From, as people read it.
SENTENCES: tuple[tuple[Rule, str], ...] = (
    (Rule(Mode.DEFAULT), "Company rule: every document comes from the company mailbox."),
    (
        Rule(Mode.SPECIFIED, "invoice", "accounts@b.example"),
        "Company rule: invoices come from accounts@b.example.",
    ),
    (
        at(("region", 10, None), Mode.USER),
        "Rule for the region North: every document comes from whoever presses Send. "
        "That is Tom Baker.",
    ),
    (
        at(("branch", 20, "invoice"), Mode.DEFAULT),
        "Rule for the branch Newcastle: invoices come from the company mailbox.",
    ),
    (
        at(("customer", 30, None), Mode.ACCOUNT_MANAGER),
        "Rule for the customer Mary Lee: every document comes from the property's account manager."
        " That is Priya Nair.",
    ),
    (
        at(("property", 40, "invoice"), Mode.RELAY),
        "Rule for the property 12 Hill St: invoices come from the portal's own relay.",
    ),
    (
        Rule(Mode.USER, scope=Scope.SENDING, scope_name="Tom Baker"),
        "Chosen for this sending by Tom Baker: it comes from Tom Baker.",
    ),
    (
        Rule(Mode.SPECIFIED, None, "nia@b.example", scope=Scope.SENDING, scope_name="Tom Baker"),
        "Chosen for this sending by Tom Baker: it comes from nia@b.example.",
    ),
)


@pytest.mark.parametrize(("rule", "sentence"), SENTENCES)
def test_the_sentence_says_whose_rule_it_is_and_what_it_comes_to(rule: Rule, sentence: str) -> None:
    once = rule if rule.scope is Scope.SENDING else None
    stored = [] if once else [rule]
    choice = choose(hill_st(), company="Bright Spark", rules=stored, addresses=OURS, once=once)
    assert choice.reason == sentence


@given(st.sets(st.sampled_from(PRECEDENCE)))
def test_a_choice_for_one_sending_comes_before_every_rule(
    spots: set[tuple[str, int, str | None]],
) -> None:
    once = Rule(Mode.SPECIFIED, None, "nia@b.example", "", Scope.SENDING, 0, "Olive Park")
    stored = [at(spot, Mode.USER) for spot in spots]
    choice = choose(hill_st(), company="Bright Spark", rules=stored, addresses=OURS, once=once)
    assert choice.sender is not None and choice.sender.email == "nia@b.example" and choice.ready


def _first_company(known: list[SendFrom]) -> int | None:
    return next((one.mailbox_id for one in known if one.owner_id is None), None)
