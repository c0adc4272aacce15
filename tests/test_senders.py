"""The sender policy never puts one address in the place of another, and always says why."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.senders import (
    Case,
    Choice,
    Mode,
    Person,
    Rule,
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


def _first_company(known: list[SendFrom]) -> int | None:
    return next((one.mailbox_id for one in known if one.owner_id is None), None)
