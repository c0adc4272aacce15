"""Contacts are kept, found, archived, deleted and merged, and documents follow."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm.exc import StaleDataError

from portal import contacts, history, policy
from portal.accounts import User
from portal.contacts import AddressTaken, delete, keep, merge, set_active
from portal.documents import Document
from portal.extensions import Base, db
from portal.people import Contact, contact_with, find_contacts, place_of, search_forms
from portal.places import Property, PropertyContact, Refused
from portal.senders import Mode, Place, Scope
from tests.factories import MARY, copper, document, mary, olive, tom


def written(**changed: Any) -> dict[str, Any]:
    """What stands on the form for Mary."""
    known = {"type": "customer", "first_name": "Mary", "last_name": "Lee", "email": MARY}
    return (
        known | {"business": "", "phone": "", "address": "", "notes": "", "active": True} | changed
    )


def property_of(
    customer: Contact, *known: Contact, name: str = "12 Hill St", **flags: bool
) -> Property:
    where = Property(customer_id=customer.id, name=name)
    where.contacts = [PropertyContact(contact_id=one.id, **flags) for one in known]
    db.session.add(where)
    db.session.commit()
    return where


def signing_in(contact: Contact, user: User) -> User:
    user.contact_id = contact.id
    db.session.commit()
    return user


def told(contact: Contact) -> list[str]:
    return [one.text for one in history.of("contact", contact.id)]


def status_of(paper: Document) -> str:
    db.session.expire_all()
    return paper.email_status


# Keeping


def test_what_is_changed_stands_in_the_history_with_who_did_it(app: Flask) -> None:
    with app.app_context():
        kept = keep(written(), olive())
        keep(
            written(email="mary@new.example", type="prospect", notes="Rings first."), olive(), kept
        )
        assert told(kept) == [
            f"Type: Customer → Prospect. E-mail: {MARY} → mary@new.example. Notes changed.",
            "Added.",
        ]
        assert {one.actor for one in history.of("contact", kept.id)} == {"Olive Park"}
        keep(
            written(email="mary@new.example", type="prospect", notes="Rings first."), olive(), kept
        )
        assert len(told(kept)) == 2, "saving what stands there already is no change"


def test_an_address_belongs_to_one_contact_the_archived_included(app: Flask) -> None:
    with app.app_context():
        first = keep(written(), olive())
        set_active(first, False, olive())
        with pytest.raises(
            AddressTaken, match=r"Mary Lee \(inactive\) has this address\."
        ) as taken:
            keep(written(first_name="Bob", email=MARY.upper()), olive())
        assert taken.value.holder is first
        assert keep(written(notes="The same"), olive(), first).email == MARY


def test_a_race_for_an_address_ends_the_same_way(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context():
        keep(written(), olive())
        looks = iter([None])
        monkeypatch.setattr(
            contacts, "contact_with", lambda *known: next(looks, contact_with(*known))
        )
        with pytest.raises(AddressTaken, match="Mary Lee has this address"):
            keep(written(first_name="Bob"), olive())
        assert db.session.query(Contact).count() == 1


def test_two_savings_at_once_lose_neither(app: Flask) -> None:
    with app.app_context():
        kept = keep(written(), olive())
        db.session.execute(
            Contact.__table__.update().values(version=Contact.version + 1)  # type: ignore[attr-defined]
        )
        db.session.commit()
        with pytest.raises(StaleDataError):
            keep(written(phone="1234"), olive(), kept)
        db.session.rollback()
        assert db.session.get(Contact, kept.id, populate_existing=True).phone == ""  # type: ignore[union-attr]


def test_documents_follow_the_address_and_the_archive(app: Flask) -> None:
    with app.app_context():
        customer = keep(written(business="Hill Trust", email=""), olive())
        biller = keep(written(), olive())
        where = property_of(customer, biller, billing=True, email_invoice=True)
        direct, there = document(contact=biller), document(contact=customer)
        there.property_id = where.id
        db.session.commit()
        keep(written(email=""), olive(), biller)
        assert (status_of(direct), status_of(there)) == ("n/a", "n/a")
        keep(written(), olive(), biller)
        assert (status_of(direct), status_of(there)) == ("pending", "pending")
        set_active(biller, False, olive())
        assert (status_of(direct), status_of(there)) == ("n/a", "n/a")
        set_active(biller, True, olive())
        assert (status_of(direct), status_of(there)) == ("pending", "pending")


# Finding


FOUND = {
    "mary": ["Mary Lee"],
    "LEE mar": ["Mary Lee"],
    "mary.lee@homes": ["Mary Lee"],
    "homes.ex": ["Mary Lee"],
    "muller": ["Müller & Söhne"],
    "Müller": ["Müller & Söhne"],
    "copper & co": ["Copper & Co"],
    "ohara": ["Sam O'Hara"],
    "o'hara": ["Sam O'Hara"],
    "smith-jones": ["Kim Smith-Jones"],
    "jones": ["Kim Smith-Jones"],
    "0491 570 006": ["Sam O'Hara"],
    "0491570006": ["Sam O'Hara"],
    "+61 491 570 006": ["Sam O'Hara"],
    "570 006": ["Sam O'Hara"],
    "570006": ["Sam O'Hara"],
    "ary": [],
    "mary copper": [],
    "%": None,
    "": None,
}


def test_a_contact_is_found_by_the_beginnings_of_its_words(app: Flask) -> None:
    with app.app_context():
        mary()
        copper()
        keep(written(first_name="", last_name="", business="Müller & Söhne", email=""), olive())
        keep(written(first_name="Sam", last_name="O'Hara", email="", phone="0491 570 006"), olive())
        keep(written(first_name="Kim", last_name="Smith-Jones", email=""), olive())
        everybody = ["Copper & Co", "Kim Smith-Jones", "Mary Lee", "Müller & Söhne", "Sam O'Hara"]
        for words, expected in FOUND.items():
            found = [one.name for one in find_contacts(words)]
            assert found == (everybody if expected is None else expected), words


def test_what_a_contact_was_called_before_finds_it_no_more(app: Flask) -> None:
    with app.app_context():
        kept = keep(written(), olive())
        keep(written(last_name="Baker", email="mary@new.example"), olive(), kept)
        assert find_contacts("lee") == []
        assert find_contacts("baker") == [kept]


def test_filters_and_the_whole_address(app: Flask) -> None:
    with app.app_context():
        one, two = mary(), copper()
        set_active(one, False, olive())
        bare = keep(written(first_name="Ann", last_name="", email=""), olive())
        assert find_contacts() == [bare, two]
        assert find_contacts(active=None) == [bare, two, one]
        assert find_contacts(active=False) == [one]
        assert find_contacts(active=None, email=f" {MARY.upper()}") == [one]
        assert find_contacts(active=None, email="mary.lee") == []
        assert find_contacts(types=["supplier", "employee"]) == [two]
        assert find_contacts(without_address=True) == [bare]


def test_a_long_list_is_walked_once_from_end_to_end(app: Flask) -> None:
    with app.app_context():
        for n in range(7):
            keep(
                written(first_name="Same" if n % 2 else f"name {n}", last_name="", email=""),
                olive(),
            )
        walked: list[int] = []
        after = None
        while some := find_contacts(after=after, limit=2):
            walked += [one.id for one in some]
            after = place_of(some[-1])
        assert walked == [one.id for one in find_contacts()]
        assert len(set(walked)) == 7
        assert find_contacts(after="nonsense") == find_contacts()


def test_nobody_searches_with_more_than_a_few_words() -> None:
    assert len(search_forms("a " * 100)) == 8
    assert search_forms("\0") == search_forms(" & ") == []


# Ending


def test_what_is_in_use_is_not_deleted_and_says_by_what(app: Flask) -> None:
    with app.app_context():
        one = mary()
        number = document(contact=one).number
        property_of(copper(), one, name="9 Quay St")
        with pytest.raises(Refused, match="Mary Lee cannot be deleted: it is in use") as refused:
            delete(one)
        assert {use.name for use in refused.value.uses} == {number, "9 Quay St"}
        unused = keep(written(first_name="Ann", email=""), olive())
        delete(unused)
        assert find_contacts("ann") == []
        assert told(unused) == []


# Merging


def test_merging_moves_everything_and_keeps_both_histories(app: Flask) -> None:
    with app.app_context():
        kept = keep(written(business="Lee Trust", email="", phone=""), olive())
        gone = keep(written(phone="0491 570 006", notes="Rings first."), olive())
        paper = document(contact=gone)
        mine = property_of(kept, kept, gone, name="Both", email_quote=True)
        mine.contacts[1].email_invoice = mine.contacts[1].billing = True
        theirs = property_of(gone, gone, name="Theirs", email_job=True)
        policy.set_rule("quote", Mode.USER, place=Place(Scope.CUSTOMER, gone.id, gone.name))
        user = signing_in(gone, tom())
        seen = [one.version for one in (paper, mine, theirs)]
        merge(kept, gone, ["first_name"], olive())
        db.session.expire_all()

        assert (kept.email, kept.phone, kept.notes) == (MARY, "0491 570 006", "Rings first.")
        assert (gone.active, gone.email, gone.merged_into_id) == (False, "", kept.id)
        assert paper.contact_id == theirs.customer_id == user.contact_id == kept.id
        assert [one.contact_id for one in theirs.contacts] == [kept.id]
        (both,) = mine.contacts
        assert both.contact_id == kept.id
        assert both.email_quote and both.email_invoice and both.billing and not both.primary
        assert policy.rule("quote", Place(Scope.CUSTOMER, kept.id, "")) is not None
        assert told(gone)[0] == f"Merged into Lee Trust. Its address was {MARY}."
        assert told(kept)[0] == f"Mary Lee ({MARY}) was merged into this one."
        assert [one.version - 1 for one in (paper, mine, theirs)] == seen, "open forms are told"
        changes = [one.text for one in history.of("property", mine.id, theirs.id)]
        assert changes == ["Mary Lee and Lee Trust are one contact now."] * 2
        assert find_contacts(email=MARY) == [kept]
        assert paper.email_status == "pending"


def test_nothing_that_points_at_a_contact_is_forgotten_by_a_merger() -> None:
    pointing = {
        f"{table.name}.{key.parent.name}"
        for table in Base.metadata.tables.values()
        for key in table.foreign_keys
        if key.column.table.name == "contacts"
    }
    moved = {"documents.contact_id", "properties.customer_id", "property_contacts.contact_id"}
    moved |= {"sender_rules.customer_id", "users.contact_id", "contacts.merged_into_id"}
    assert pointing == moved | {"contact_words.contact_id"}, "let merge() move it too"


def test_values_are_chosen_one_by_one_and_notes_are_joined(app: Flask) -> None:
    with app.app_context():
        kept = keep(written(notes="One.", phone="1111 111"), olive())
        other = written(first_name="Marie", email="marie@homes.example", notes="Two.", phone="2222")
        gone = keep(other, olive())
        assert contacts.differing(kept, gone) == ["first_name", "email", "phone"]
        merge(kept, gone, ["email"], olive())
        assert (kept.first_name, kept.email, kept.phone) == (
            "Mary",
            "marie@homes.example",
            "1111 111",
        )
        assert kept.notes == "One.\nTwo."


def test_a_chain_of_mergers_leads_to_the_last(app: Flask) -> None:
    with app.app_context():
        one, two, three = (keep(written(email="", last_name=n), olive()) for n in "abc")
        merge(two, one, [], olive())
        merge(three, two, [], olive())
        db.session.expire_all()
        assert one.merged_into_id == two.merged_into_id == three.id
        with pytest.raises(Refused, match="merged into another contact already"):
            merge(three, one, [], olive())
        with pytest.raises(Refused, match="stays archived"):
            set_active(one, True, olive())


def test_what_cannot_become_one_is_refused_in_a_sentence(app: Flask) -> None:
    with app.app_context():
        one, two = keep(written(), olive()), keep(written(email="two@homes.example"), olive())
        with pytest.raises(Refused, match="this is the same one"):
            merge(one, one, [], olive())
        signing_in(one, tom())
        signing_in(two, olive())
        with pytest.raises(Refused, match="both sign in"):
            merge(one, two, [], olive())
        db.session.expire_all()
        assert two.active and two.email


def test_two_different_rules_are_not_guessed_between(app: Flask) -> None:
    with app.app_context():
        one, two = mary(), copper()
        for contact, mode in ((one, Mode.USER), (two, Mode.DEFAULT)):
            policy.set_rule("invoice", mode, place=Place(Scope.CUSTOMER, contact.id, ""))
        with pytest.raises(Refused, match="rule for who invoices come from"):
            merge(one, two, [], olive())
        policy.set_rule("invoice", Mode.USER, place=Place(Scope.CUSTOMER, two.id, ""))
        merge(one, two, [], olive())
        assert len(policy.rules()) == 1
