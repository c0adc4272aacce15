"""Who a document goes to: the flags of a property's contacts decide, and every answer says why."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.recipients import Receiver, Recipients, Wanted, reached, recipients

INVOICE = Wanted("invoice", "12 Hill St", "Email Invoice", by_billing=True, to_party=False)
QUOTE = Wanted("quote", "12 Hill St", "Email Quote", by_billing=False, to_party=False)
ORDER = Wanted("purchase order", "12 Hill St", "Email Order", by_billing=False, to_party=True)
NOWHERE = replace(INVOICE, about="")
COPPER = Receiver("Copper & Co", "orders@copperco.example", contact_id=99)
NAMES = ("Mary Lee", "Bob Lee", "Ann Wu", "Jo Hart")

#: Where a contact stands, by the kind's way and the ticks (marked, primary, billing), when nobody
#: else is there: To, Cc or not at all. The oracle: a table, not the code's way of thinking.
TICKS = [(m, p, b) for m in (True, False) for p in (True, False) for b in (True, False)]
ALONE = {
    "invoice": dict(zip(TICKS, ("to", "", "to", "", "", "", "", ""), strict=True)),
    "quote": dict(zip(TICKS, ("to", "to", "to", "to", "", "", "", ""), strict=True)),
    "purchase order": dict(zip(TICKS, ("cc", "cc", "cc", "cc", "", "", "", ""), strict=True)),
}
#: The same beside a contact with all ticks, who is in To (or, of an order, gets a copy).
BESIDE = {
    "invoice": dict(zip(TICKS, ("to", "cc", "to", "cc", "", "", "", ""), strict=True)),
    "quote": dict(zip(TICKS, ("to", "to", "cc", "cc", "", "", "", ""), strict=True)),
    "purchase order": ALONE["purchase order"],
}

contacts = st.lists(
    st.builds(
        Receiver,
        name=st.sampled_from(NAMES),
        email=st.sampled_from(["", "mary@homes.example", "MARY@homes.example", "bob@homes.example",
                               "ann@homes.example", "jo@homes.example"]),
        active=st.booleans(),
        marked=st.booleans(),
        primary=st.booleans(),
        billing=st.booleans(),
        contact_id=st.integers(1, 5),
    ),
    max_size=6,
)  # fmt: skip
parties = st.builds(
    Receiver,
    name=st.just("Copper & Co"),
    email=st.sampled_from(["", "orders@copperco.example", "bob@homes.example"]),
    active=st.booleans(),
)
wanteds = st.sampled_from([INVOICE, QUOTE, ORDER, NOWHERE])


def ticked(ticks: tuple[bool, bool, bool], name: str = "Bob Lee") -> Receiver:
    marked, primary, billing = ticks
    email = f"{name.split()[0].lower()}@homes.example"
    return Receiver(name, email, True, marked, primary, billing, 7)


def where(found: Recipients, email: str) -> str:
    """Where an address stands in an answer."""
    lists = {"to": found.to, "cc": found.cc}
    return "".join(name for name, some in lists.items() if email in {one.email for one in some})


@pytest.mark.parametrize("wanted", [INVOICE, QUOTE, ORDER], ids=lambda one: one.noun)
@pytest.mark.parametrize("ticks", TICKS)
def test_the_ticks_of_a_contact_decide_where_it_stands(
    wanted: Wanted, ticks: tuple[bool, bool, bool]
) -> None:
    bob, mary = ticked(ticks), ticked((True, True, True), "Mary Lee")
    assert where(recipients(wanted, COPPER, [bob]), bob.email) == ALONE[wanted.noun][ticks]
    for pair in ([bob, mary], [mary, bob]):
        assert where(recipients(wanted, COPPER, pair), bob.email) == BESIDE[wanted.noun][ticks]


@given(wanteds, parties, contacts)
def test_nobody_is_written_to_twice_unasked_or_without_a_reason(
    wanted: Wanted, party: Receiver, some: list[Receiver]
) -> None:
    found = recipients(wanted, party, some)
    everyone = [*found.to, *found.cc]
    keys = [one.email.casefold() for one in everyone]
    assert len(keys) == len(set(keys)), "nobody twice over To and Cc"
    asked = [one for one in some if one.marked and one.active] if wanted.about else []
    if wanted.to_party or not wanted.about:
        asked = [*asked, *([party] if party.active else [])]
    assert set(keys) <= {one.email.casefold() for one in asked}, "nobody unmarked or inactive"
    assert all(one.email and one.why and one.name for one in everyone)


@given(wanteds, parties, contacts)
def test_a_mail_without_anybody_in_to_is_blocked_with_what_is_lacking(
    wanted: Wanted, party: Receiver, some: list[Receiver]
) -> None:
    found = recipients(wanted, party, some)
    blocking = [one for one in found.lacks if one.blocking]
    assert bool(blocking) == (not found.to)
    assert all(one.message.endswith(".") for one in found.lacks)


@given(contacts)
def test_money_is_asked_of_nobody_but_billing(some: list[Receiver]) -> None:
    for one in recipients(INVOICE, COPPER, some).to:
        same = [other for other in some if other.email.casefold() == one.email.casefold()]
        assert any(other.billing and other.marked and other.active for other in same)
        assert one.why == "marked Billing and Email Invoice at 12 Hill St"


@given(wanteds, parties, contacts)
def test_whoever_is_marked_and_can_be_written_to_is_not_forgotten(
    wanted: Wanted, party: Receiver, some: list[Receiver]
) -> None:
    found = recipients(wanted, party, some)
    if not wanted.about or any(one.code in ("inactive", "no_billing") for one in found.lacks):
        return
    keys = {one.email.casefold() for one in (*found.to, *found.cc)}
    marked = [one for one in some if one.marked and one.active]
    assert {one.email.casefold() for one in marked if one.email} <= keys
    assert {one.name for one in marked if not one.email} <= {
        one.message.removesuffix(" has no e-mail address.") for one in found.lacks
    }


@pytest.mark.parametrize(
    ("some", "sentence"),
    [
        ([], "No contact of 12 Hill St is marked Email Invoice."),
        (
            [replace(ticked((True, True, True)), active=False)],
            "Bob Lee is marked Email Invoice at 12 Hill St, but is no longer active.",
        ),
        (
            [ticked((True, True, False))],
            "12 Hill St has no billing contact: nobody who is marked Email Invoice is also "
            "marked Billing.",
        ),
        ([replace(ticked((True, True, True)), email="")], "Bob Lee has no e-mail address."),
    ],
)
def test_what_is_lacking_is_said_in_one_sentence(some: list[Receiver], sentence: str) -> None:
    (lack,) = recipients(INVOICE, COPPER, some).lacks
    assert (lack.message, lack.blocking) == (sentence, True)


def test_a_copy_that_cannot_be_sent_is_told_but_blocks_nothing() -> None:
    mary, bob = ticked((True, True, True), "Mary Lee"), ticked((True, False, False))
    found = recipients(INVOICE, COPPER, [mary, replace(bob, email="")])
    assert [one.email for one in found.to] == ["mary@homes.example"]
    assert [(one.message, one.blocking) for one in found.lacks] == [
        ("Bob Lee has no e-mail address.", False)
    ]


def test_a_supplier_or_a_customer_who_is_no_longer_active_gets_nothing() -> None:
    gone = replace(COPPER, active=False)
    for wanted in (ORDER, NOWHERE):
        found = recipients(wanted, gone, [ticked((True, True, True))])
        assert (found.to, found.cc) == ((), ())
        assert found.lacks[0].message == "Copper & Co is no longer active."
        assert found.lacks[0].contact_id == 99


@given(contacts, wanteds, st.lists(st.sampled_from(["mary@homes.example", "eve@spam.example"])))
def test_what_is_written_in_by_hand_departs_and_what_is_left_out_is_told(
    some: list[Receiver], wanted: Wanted, by_hand: list[str]
) -> None:
    found = recipients(wanted, COPPER, some)
    to, cc = [one.email for one in found.to], [one.email for one in found.cc]
    same = reached(found, [one.upper() for one in to], cc)
    assert not same.departs and not same.left_out
    assert [one.why for one in (*same.to, *same.cc)] == [one.why for one in (*found.to, *found.cc)]
    other = reached(found, by_hand, ())
    strangers = {one for one in by_hand if one not in {*map(str.casefold, [*to, *cc])}}
    assert {one.email for one in other.to if not one.chosen} == strangers
    told = {one.email.casefold() for one in (*other.to, *other.left_out)}
    assert told == {one.casefold() for one in (*to, *cc, *by_hand)}
    assert other.departs == bool(strangers or other.left_out)


def test_a_business_is_greeted_by_its_person_and_told_of_by_its_own_name() -> None:
    priya = Receiver("Priya Nair", "", billing=True, known_as="Harbour Strata Management")
    (lack,) = recipients(INVOICE, COPPER, [priya]).lacks
    assert lack.message == "Harbour Strata Management has no e-mail address."
    (to,) = recipients(INVOICE, COPPER, [replace(priya, email="priya@harbour.example")]).to
    assert to.name == "Priya Nair"
