"""Regions, branches and properties: nothing falls into a gap, and nothing in use is deleted."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal import history, places, properties, regions
from portal.accounts import end
from portal.documents import NOT_APPLICABLE, PENDING, Document
from portal.documents.mail import MailWording
from portal.extensions import Base, db
from portal.people import Contact
from portal.places import FLAGS, Branch, Property, Refused, Region, uses_of
from portal.policy import put_rule
from portal.properties import Draft, Filters
from portal.regions import NameTaken
from portal.senders import Mode, Place, Scope
from tests.factories import branch, contact, copper, document, hill_st, mary, nia, olive, tom

POINTED_AT = {"regions", "branches", "properties", "contacts"}
#: What goes with the record it points at, or is told as that record's own.
OWN = {"property_contacts", "contact_words"}


@pytest.fixture(autouse=True)
def office(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield
        db.session.remove()


def bob(**known: Any) -> Contact:
    return contact(first_name="Bob", last_name="Lee", email="bob@homes.example", **known)


def draft(where: Property, **changed: Any) -> Draft:
    known = {name: getattr(where, name) for name in Draft.__dataclass_fields__}
    return Draft(**(known | changed))


def told(noun: str, number: int) -> list[str]:
    return [one.text for one in history.of(noun, number)]


# -- no gap --------------------------------------------------------------------------------------


def test_the_first_branch_takes_every_property_and_document_there_is() -> None:
    hill = hill_st(branch=None)
    written, loose = document(site=hill), document()
    assert (hill.branch_id, written.branch_id, loose.branch_id) == (None, None, None)
    north = regions.add_region("North", olive())
    newcastle, moved = regions.add_branch("Newcastle", north, olive())
    assert (moved.properties, moved.documents) == (1, 2)
    for one in (hill, written, loose):
        db.session.refresh(one)
        assert one.branch_id == newcastle.id
    gosford, moved = regions.add_branch("Gosford", north, olive())
    assert (moved.properties, moved.documents) == (0, 0)
    assert told("branch", gosford.id) == ["Added the branch Gosford in the region North."]


def test_a_name_is_given_once_whatever_its_capitals_and_whether_archived_or_not() -> None:
    newcastle, gosford = branch("Newcastle"), branch("Gosford")
    for name in ("gosford", "GOSFORD"):
        with pytest.raises(NameTaken, match="There is already a branch called Gosford"):
            regions.change_branch(newcastle, name, newcastle.region, olive())
    regions.archive(gosford, olive())
    with pytest.raises(NameTaken, match="It is archived: bring it back, or choose another name"):
        regions.add_branch("Gosford", newcastle.region, olive())
    with pytest.raises(NameTaken, match="already a region called North"):
        regions.add_region("north", olive())
    regions.change_branch(newcastle, "newcastle", newcastle.region, olive())
    assert newcastle.name == "newcastle"


def test_a_branch_moves_to_a_region_in_use_and_to_no_other() -> None:
    newcastle, wollongong = branch(), branch("Wollongong", "South")
    regions.change_branch(newcastle, "Newcastle", wollongong.region, olive())
    assert newcastle.region.name == "South"
    assert told("branch", newcastle.id) == ["Moved from the region North to South."]
    north = db.session.scalars(select(Region).filter_by(name="North")).one()
    regions.archive(north, olive())
    with pytest.raises(Refused, match="The region North is archived"):
        regions.change_branch(newcastle, "Newcastle", north, olive())
    with pytest.raises(Refused, match="The region North is archived"):
        regions.add_branch("Gosford", north, olive())


def test_a_branch_is_archived_once_its_properties_are_elsewhere() -> None:
    newcastle, gosford = branch(), branch("Gosford")
    hill = hill_st()
    unsent, loose, sent = document(site=hill), document(), document(site=hill)
    loose.branch_id = newcastle.id
    sent.email_status = "accepted"
    db.session.commit()
    with pytest.raises(Refused, match="Newcastle still has 1 property in use"):
        regions.archive(newcastle, olive())
    version = hill.version
    moved = regions.move_properties(newcastle, gosford, olive())
    assert (moved.properties, moved.documents) == (1, 2)
    for one in (hill, unsent, loose, sent):
        db.session.refresh(one)
    assert hill.version == version + 1, "a form that is open elsewhere notices"
    assert [one.branch_id for one in (hill, unsent, loose)] == [gosford.id] * 3
    assert sent.branch_id == newcastle.id, "what was sent stays where it was"
    regions.archive(newcastle, olive())
    assert [one.name for one in places.branches()] == ["Gosford"]


def test_the_last_branch_and_a_region_with_branches_stay_in_use() -> None:
    newcastle = branch()
    with pytest.raises(Refused, match="the last branch in use"):
        regions.archive(newcastle, olive())
    with pytest.raises(Refused, match="North still has branches in use") as refusal:
        regions.archive(newcastle.region, olive())
    assert [one.name for one in refusal.value.uses] == ["Newcastle"]
    with pytest.raises(Refused, match="Choose another branch"):
        regions.move_properties(newcastle, newcastle, olive())


def test_bringing_a_branch_back_brings_its_region_back() -> None:
    newcastle = branch()
    branch("Wollongong", "South")
    for place in (newcastle, newcastle.region):
        regions.archive(place, olive())
    regions.bring_back(newcastle, olive())
    assert newcastle.active and newcastle.region.active


# -- what is in use ------------------------------------------------------------------------------


@pytest.mark.sqlite_only
def test_everything_that_can_point_at_a_place_or_a_contact_is_told() -> None:
    """A table that is added later must say how its rows are called."""
    pointing = {
        table.name
        for table in Base.metadata.tables.values()
        for key in table.foreign_keys
        if key.column.table.name in POINTED_AT
    }
    assert pointing - OWN == {name for name, *_ in places.USERS}


def test_what_is_in_use_is_named_sort_by_sort_and_cannot_be_deleted() -> None:
    hill = hill_st(account_manager=tom())
    newcastle = hill.branch
    assert newcastle
    invoices = [document(site=hill).number for _ in range(7)]
    place = Place(Scope.BRANCH, newcastle.id, newcastle.name)
    put_rule("invoice", Mode.USER, place=place)
    wording = {"kind": "quote", "subject": "Your quote", "body": "Hello"}
    db.session.add(MailWording(target=f"branch:{newcastle.id}", branch_id=newcastle.id, **wording))
    db.session.commit()
    assert [(one.what, one.name, one.noun) for one in uses_of(newcastle)] == [
        ("Property", "12 Hill St", "property"),
        ("Rule for who mail comes from", "invoice", "rule"),
        ("Wording of e-mails", "quote", "wording"),
        *(("Invoice", number, "document") for number in invoices[:5]),
        ("Documents", "and 2 more", "document"),
    ]
    assert [(one.what, one.name) for one in uses_of(newcastle.region)] == [("Branch", "Newcastle")]
    assert {one.what for one in uses_of(hill)} == {"Invoice", "Documents"}
    assert [one.name for one in uses_of(hill.customer)][:1] == ["12 Hill St"]
    deletions: tuple[Callable[[], None], ...] = (
        lambda: regions.delete(newcastle, olive()),
        lambda: regions.delete(newcastle.region, olive()),
        lambda: properties.delete(hill, olive()),
    )
    for delete in deletions:
        with pytest.raises(Refused, match="cannot be deleted: it is in use") as refusal:
            delete()
        assert refusal.value.uses


def test_a_contact_of_a_property_is_in_use_there_once() -> None:
    hill = hill_st()
    assert [(one.what, one.name) for one in uses_of(mary())] == [("Property", "12 Hill St")]
    properties.add_contact(hill, bob(), olive())
    assert [one.id for one in uses_of(bob())] == [hill.id]


def test_what_nothing_needs_is_deleted_with_its_history() -> None:
    hill, gosford = hill_st(), branch("Gosford")
    number, branch_id = hill.id, gosford.id
    properties.archive(hill, olive())
    properties.delete(hill, olive())
    regions.delete(gosford, olive())
    assert db.session.get(Property, number) is None and db.session.get(Branch, branch_id) is None
    assert told("property", number) == [] and told("branch", branch_id) == []
    assert told(regions.GONE, 0) == ["Deleted the branch Gosford."]
    assert told("contact", mary().id) == ["Property 12 Hill St deleted."]


# -- properties ----------------------------------------------------------------------------------


def test_a_new_property_has_its_customer_as_the_contact_who_receives_everything() -> None:
    newcastle = branch()
    made = properties.add(Draft("12 Hill St", "", mary().id, newcastle.id, None), olive())
    for kind, found in properties.receiving(made).items():
        reached = found.cc if kind == "purchase_order" else found.to
        assert [one.name for one in reached] == ["Mary Lee"], kind
        assert not found.lacks
    assert document(site=made).branch_id == newcastle.id


def test_a_property_that_moves_takes_what_was_never_sent_with_it() -> None:
    hill, gosford = hill_st(), branch("Gosford")
    newcastle = hill.branch_id
    unsent, sent = document(site=hill), document(site=hill)
    sent.email_status = "held"
    db.session.commit()
    assert properties.change(hill, draft(hill, branch_id=gosford.id), olive()) == 1
    for one in (unsent, sent):
        db.session.refresh(one)
    assert (unsent.branch_id, sent.branch_id) == (gosford.id, newcastle)
    assert told("property", hill.id) == [
        "Branch: Newcastle → Gosford. 1 document not sent yet moved with it."
    ]
    assert properties.change(hill, draft(hill, name="12 Hill Street"), olive()) == 0


def test_ticks_decide_whether_documents_have_somebody_to_go_to() -> None:
    hill = hill_st()
    invoice, quote = document(site=hill), document("quote", site=hill)
    everything = set(FLAGS)

    def statuses() -> tuple[str, str]:
        db.session.expire_all()
        return invoice.email_status, quote.email_status

    assert statuses() == (PENDING, PENDING)
    properties.tick(hill, {mary().id: everything - {"billing"}}, olive())
    assert statuses() == (NOT_APPLICABLE, PENDING)
    assert properties.invoices_waiting(hill) == properties.invoices_waiting() == 1
    properties.add_contact(hill, bob(), olive())
    properties.tick(hill, {bob().id: {"billing", "email_invoice"}}, olive())
    assert statuses() == (PENDING, PENDING)
    properties.remove_contact(hill, mary(), olive())
    assert statuses() == (PENDING, NOT_APPLICABLE)
    assert properties.invoices_waiting() == 0
    assert told("property", hill.id)[:3] == [
        "Mary Lee is no longer a contact here.",
        "Bob Lee: now Billing, Email Invoice.",
        "Bob Lee added as a contact.",
    ]


def test_a_contact_that_stood_on_no_form_keeps_its_ticks() -> None:
    hill = hill_st()
    properties.tick(hill, {99: set()}, olive())
    assert properties.ticked(hill) == {mary().id: set(FLAGS)}
    assert told("property", hill.id) == []


def test_a_contact_who_is_archived_is_not_added() -> None:
    hill, gone = hill_st(), bob(active=False)
    with pytest.raises(Refused, match="Bob Lee is no longer active"):
        properties.add_contact(hill, gone, olive())


def test_an_archived_property_is_brought_back_only_into_a_branch_in_use() -> None:
    hill, gosford = hill_st(), branch("Gosford")
    properties.archive(hill, olive())
    assert hill.branch
    regions.archive(hill.branch, olive())
    with pytest.raises(Refused, match="Its branch Newcastle is archived"):
        properties.bring_back(hill, olive())
    properties.change(hill, draft(hill, branch_id=gosford.id), olive())
    properties.bring_back(hill, olive())
    assert hill.active


def test_properties_are_found_by_what_is_asked() -> None:
    quay = hill_st("9 Quay St", copper(), branch=branch("Wollongong", "South"))
    hill = hill_st(account_manager=tom(), address="12 Hill St\nNewtown NSW 2042")
    bay = hill_st("3 Bay_St", account_manager=nia())
    properties.tick(bay, {mary().id: set()}, olive())
    old = hill_st("1 Old Rd", active=False)
    end(nia())
    asked = {
        "all in use": (Filters(), [hill, bay, quay]),
        "name": (Filters("hill"), [hill]),
        "address and customer": (Filters("NEWTOWN lee"), [hill]),
        "an underscore is no wild card": (Filters("y_s"), [bay]),
        "customer": (Filters("copper"), [quay]),
        "the customer's address": (Filters("orders@copperco.example"), [quay]),
        "branch": (Filters(branch_id=quay.branch_id or 0), [quay]),
        "region": (Filters(region_id=branch().region_id), [hill, bay]),
        "whose": (Filters(customer_id=copper().id), [quay]),
        "manager": (Filters(manager=str(tom().id)), [hill]),
        "no manager": (Filters(manager="none"), [quay]),
        "a manager who left": (Filters(manager="left"), [bay]),
        "no billing": (Filters(no_billing=True), [bay]),
        "archived": (Filters(state="archived"), [old]),
        "every": (Filters(state="all"), [old, hill, bay, quay]),
    }
    for name, (filters, wanted) in asked.items():
        assert properties.found(filters).properties == wanted, name


def test_a_list_is_paged_without_missing_or_repeating_one() -> None:
    made = [hill_st(name, branch=branch()) for name in ("A", "B", "B2", "C", "D")]
    twin = Property(customer=mary(), name="B", branch=branch())
    db.session.add(twin)
    db.session.commit()
    seen, after = [], 0
    while True:
        page = properties.found(Filters(), after, 2)
        seen += page.properties
        if page.after is None:
            break
        after = page.after
    assert [one.name for one in seen] == ["A", "B", "B", "B2", "C", "D"]
    assert len({one.id for one in seen}) == len(made) + 1


def test_what_is_of_a_property_is_listed_newest_first() -> None:
    hill = hill_st()
    numbers = [document(site=hill).number for _ in range(3)]
    assert [one.number for one in properties.newest_documents(hill, 2)] == numbers[:0:-1]
    assert db.session.query(Document).count() == 3
