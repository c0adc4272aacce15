"""The three approaches to who invoices come from, as Aspire's set-up guide tells them."""

from collections.abc import Iterator

import pytest
from flask import Flask

from portal import accounts, approaches, mailboxes, people, policy, standing
from portal.accounts import User
from portal.approaches import DEPARTMENT, Approach, CannotSetUp
from portal.extensions import db
from portal.mailboxes import Address
from portal.people import Contact
from portal.policy import SenderRule
from portal.senders import Mode, Trouble
from tests import factories
from tests.factories import ACCOUNTS, OFFICE


@pytest.fixture
def olive(app: Flask) -> Iterator[User]:
    """With the company's mailbox, which may send as tom@ too."""
    with app.app_context():
        factories.office_mailbox()
        yield factories.olive()
        db.session.rollback()


def counts() -> tuple[int, ...]:
    """How many contacts, users, addresses and rules there are."""
    return tuple(db.session.query(one).count() for one in (Contact, User, Address, SenderRule))


def test_approach_1_accounting_department_sends_every_invoice(olive: User) -> None:
    """One generic contact, a user of its own, one address, and the company's rule for invoices."""
    hill = factories.site(manager=factories.nia())
    made = approaches.set_up_department(DEPARTMENT, ACCOUNTS, olive)
    assert made.complete and approaches.present() is Approach.ACCOUNTING
    assert made.contact is not None and made.user is not None
    assert (made.contact.type, made.contact.name) == ("employee", "Accounting Department")
    assert (made.contact.first_name, made.contact.last_name) == ("Accounting", "Department")
    assert made.user.contact_id == made.contact.id and made.user.email == ACCOUNTS
    for sender in (olive, factories.tom()):
        choice = policy.sender_of(factories.document(site=hill), sender)
        assert choice.sender is not None and choice.sender.email == ACCOUNTS
        assert choice.trouble is Trouble.NOT_LINKED  # it waits, and leaves from nowhere else
        assert choice.reason == f"Company rule: invoices come from {ACCOUNTS}."
    address = db.session.query(Address).filter_by(email=ACCOUNTS).one()
    assert address.verification == "wanted" and address.mailbox.email == OFFICE
    address.verification = "accepted"
    db.session.commit()
    assert policy.sender_of(factories.document(site=hill), olive).ready


def test_approach_1_accounting_department_leaves_the_other_kinds_alone(olive: User) -> None:
    approaches.set_up_department(DEPARTMENT, ACCOUNTS, olive)
    assert [(one.kind, one.mode) for one in policy.rules()] == [("invoice", Mode.SPECIFIED)]


def test_approach_1_accounting_department_is_set_up_once_however_often(olive: User) -> None:
    approaches.set_up_department(DEPARTMENT, ACCOUNTS, olive)
    before = counts()
    again = approaches.set_up_department("Somebody Else", ACCOUNTS, olive)
    assert counts() == before
    assert again.contact is not None and again.contact.name == DEPARTMENT


def test_approach_1_accounting_department_takes_what_is_there(olive: User) -> None:
    there = factories.contact(business="The Office", email=ACCOUNTS, type="employee")
    user = accounts.add_user(ACCOUNTS, "The Office", accounts.Role.STAFF, "a password of theirs")
    db.session.commit()
    made = approaches.set_up_department(DEPARTMENT, ACCOUNTS, olive)
    assert made.contact is there and made.user is user and user.contact_id == there.id


def test_approach_1_accounting_department_asks_nothing_of_a_verified_address(olive: User) -> None:
    before = db.session.query(Address).count()
    made = approaches.set_up_department("Tom Baker", factories.tom().email, olive)
    assert made.choice is not None and made.choice.ready
    assert db.session.query(Address).count() == before


def test_approach_1_accounting_department_waits_for_a_first_mailbox(app: Flask) -> None:
    with app.app_context():
        olive = factories.olive()
        made = approaches.set_up_department(DEPARTMENT, ACCOUNTS, olive)
        assert made.complete and made.choice is not None and not made.choice.ready
        assert mailboxes.all_mailboxes() == []


@pytest.mark.parametrize(
    ("known", "sentence"),
    [
        ({"type": "customer"}, "who is not an employee. Write another address."),
        ({"type": "employee", "active": False}, "who is inactive. Make that contact active first."),
    ],
)
def test_approach_1_accounting_department_is_made_whole_or_not_at_all(
    olive: User, known: dict[str, object], sentence: str
) -> None:
    holder = factories.contact(business="Harbour Strata", email=ACCOUNTS, **known)
    before = counts()
    with pytest.raises(CannotSetUp) as refused:
        approaches.set_up_department(DEPARTMENT, ACCOUNTS, olive)
    assert str(refused.value) == f"{ACCOUNTS} belongs to Harbour Strata, {sentence}"
    assert refused.value.holder is holder and counts() == before


def test_approach_1_accounting_department_keeps_nothing_when_it_fails_at_the_last_step(
    olive: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise accounts.CannotMake("The office is closed.")

    before = counts()
    monkeypatch.setattr(accounts, "user_from_contact", fail)
    with pytest.raises(CannotSetUp, match="The office is closed"):
        approaches.set_up_department(DEPARTMENT, ACCOUNTS, olive)
    assert counts() == before and people.contact_with(ACCOUNTS) is None


def test_approach_2_account_managers_send_for_their_properties(olive: User) -> None:
    """Each manager has to be ready alone; what has no manager waits, and the rest goes."""
    tom, nia = factories.tom(), factories.nia()
    hill = factories.site("12 Hill St", manager=tom)
    quay = factories.site("9 Quay St", manager=nia)
    bay = factories.site("3 Bay St")
    approaches.let_managers_send(olive)
    assert approaches.present() is Approach.MANAGERS
    table = {
        hill: (tom.email, None),
        quay: (nia.email, Trouble.NOT_LINKED),
        bay: (None, Trouble.NO_MANAGER),
    }
    for site, promised in table.items():
        choice = policy.sender_of(factories.document(site=site), olive)
        assert (choice.sender.email if choice.sender else None, choice.trouble) == promised
    found = standing.managers_at(kind="invoice")
    assert [one.user.name for one in found.ready] == ["Tom Baker"]
    assert [one.user.name for one in found.not_ready] == ["Nia Cole"]
    assert (found.unmanaged, found.waiting) == (1, 2)


def test_approach_2_account_managers_who_left_block_just_their_own(olive: User) -> None:
    tom = factories.tom()
    hill, quay = factories.site(manager=tom), factories.site("9 Quay St", manager=olive)
    approaches.let_managers_send(olive)
    accounts.end(tom)
    choice = policy.sender_of(factories.document(site=hill), olive)
    assert choice.trouble is Trouble.MANAGER_LEFT
    assert choice.problem == ("Tom Baker, the account manager of 12 Hill St, no longer works here.")
    assert policy.sender_of(factories.document(site=quay), olive).trouble is Trouble.NOT_LINKED


def test_approach_3_relay_is_told_of_and_cannot_be_ready(olive: User) -> None:
    choice = policy.sample("invoice", Mode.RELAY, "", olive)
    assert choice.sender is None and choice.trouble is Trouble.NO_RELAY
    assert choice.reason == "Company rule: invoices come from the portal's own relay."
    assert choice.problem == "The portal's own relay is not set up."


def test_with_no_approach_the_company_mailbox_sends(olive: User) -> None:
    assert approaches.present() is None and approaches.department(olive) is None
    policy.set_rule("", Mode.ACCOUNT_MANAGER)
    assert approaches.present() is Approach.MANAGERS  # invoices follow the rule for every kind
