"""A list shows what its filters say, newest first, page by page, whatever comes in meanwhile."""

import datetime as dt
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update
from werkzeug.datastructures import MultiDict

from portal import contacts
from portal.documents import Document, Draft, keep, listing
from portal.documents.facts import LineFacts
from portal.documents.listing import Cursor, Filters, Page, Place
from portal.documents.words import DocumentWord
from portal.extensions import db
from portal.places import Branch, Property, Region
from tests.factories import contact, mary, olive

MONTH_END = dt.date(2026, 10, 31)


def numbers(found: Page) -> list[str]:
    return [row.number for row in found.rows]


def search(words: str, kind: str = "invoice") -> list[str]:
    return numbers(listing.page(kind, Filters(words=words)))


def write(number: str, issued: dt.date = MONTH_END, **more: Any) -> Document:
    draft = Draft(
        kind=more.pop("kind", "invoice"),
        number=number,
        title=more.pop("title", "Work"),
        contact_id=more.pop("contact_id", None) or mary().id,
        site=more.pop("site", ""),
        reference=more.pop("reference", ""),
        issued=issued,
        due=None,
        notes="",
        lines=(LineFacts("Work"),),
        **more,
    )
    made = keep(draft, olive())
    db.session.commit()
    return made


def places() -> tuple[Branch, Branch, Branch]:
    """Newcastle and Gosford in the north, Wollongong in the south."""
    north, south = Region(name="North"), Region(name="South")
    made = (
        Branch(name="Newcastle", region=north),
        Branch(name="Gosford", region=north),
        Branch(name="Wollongong", region=south),
    )
    db.session.add_all(made)
    db.session.commit()
    return made


def test_a_list_is_newest_first_and_pages_both_ways(app: Flask) -> None:
    with app.app_context():
        for day in range(1, 8):
            write(f"INV-{day:04d}", dt.date(2026, 10, day))
        write("INV-0008", dt.date(2026, 10, 7))  # of the same day: the later one first
        first = listing.page("invoice", Filters(), size=3)
        assert numbers(first) == ["INV-0008", "INV-0007", "INV-0006"] and first.newer is None
        assert first.total == 8
        second = listing.page("invoice", Filters(), first.older, size=3)
        assert numbers(second) == ["INV-0005", "INV-0004", "INV-0003"]
        write("INV-0009", dt.date(2026, 10, 20))  # comes in while somebody reads
        third = listing.page("invoice", Filters(), second.older, size=3)
        assert numbers(third) == ["INV-0002", "INV-0001"] and third.older is None
        back = listing.page("invoice", Filters(), third.newer, size=3)
        assert numbers(back) == numbers(second)
        front = listing.page("invoice", Filters(), back.newer, size=3)
        assert numbers(front) == numbers(first) and front.newer is not None
        top = listing.page("invoice", Filters(), front.newer, size=3)
        assert numbers(top) == ["INV-0009", "INV-0008", "INV-0007"] and top.newer is None


def test_each_filter_keeps_what_it_says(app: Flask) -> None:
    with app.app_context():
        newcastle, gosford, wollongong = places()
        harbour = contact(business="Harbour Strata Management")
        hill = Property(customer_id=mary().id, name="12 Hill St", branch_id=gosford.id)
        db.session.add(hill)
        db.session.commit()
        write("A", branch_id=newcastle.id)
        write("B", property_id=hill.id)
        write("C", branch_id=wollongong.id, contact_id=harbour.id)
        write("D", dt.date(2026, 11, 1), branch_id=wollongong.id)
        write("Q", kind="quote")
        db.session.execute(
            update(Document).where(Document.number == "A").values(email_status="refused")
        )
        db.session.execute(
            update(Document).where(Document.number == "D").values(batch_status="draft")
        )
        db.session.commit()
        north, october = newcastle.region_id, dt.date(2026, 10, 1)
        expected: list[tuple[Filters, set[str]]] = [
            (Filters(), set("ABCD")),
            (Filters(branch_id=newcastle.id), {"A"}),
            (Filters(region_id=north), {"A", "B"}),
            (Filters(region_id=north, branch_id=wollongong.id), set()),
            (Filters(property_id=hill.id), {"B"}),
            (Filters(contact_id=harbour.id), {"C"}),
            (Filters(email_status=("refused",)), {"A"}),
            (Filters(email_status=("refused", "n/a")), set("ABC")),
            (Filters(unsent=True), set("BCD")),
            (Filters(unsent=True, email_status=("refused",)), set()),
            (Filters(batch_status="draft"), {"D"}),
            (Filters(batch_status=""), set("ABC")),
            (Filters(issued_from=october, issued_to=MONTH_END), set("ABC")),
            (Filters(unsent=True, region_id=wollongong.region_id, issued_to=MONTH_END), {"C"}),
            (Filters(words="harbour", batch_status=""), {"C"}),
            (Filters(words="hill", unsent=True), {"B"}),
        ]
        for filters, wanted in expected:
            assert set(numbers(listing.page("invoice", filters))) == wanted, filters
            ids = set(db.session.scalars(listing.matching("invoice", filters)))
            query = select(Document.number).where(Document.id.in_(ids))
            assert set(db.session.scalars(query)) == wanted, filters


def test_a_document_is_found_by_the_beginnings_of_its_words(app: Flask) -> None:
    with app.app_context():
        strata = contact(business="Müller & O'Hara Strata")
        hill = Property(customer_id=strata.id, name="The Old Mill", address="7 Mill Rd")
        db.session.add(hill)
        db.session.commit()
        write(
            "INV-0042",
            title="Hot-water unit",
            site="12/14 Hill St",
            reference="JOB-0017",
            contact_id=strata.id,
            property_id=hill.id,
        )
        write("INV-0420", title="Drain")
        one, both = ["INV-0042"], {"INV-0042", "INV-0420"}
        for typed in ("hot", "water unit", "hotwater", "UNIT", "mull", "MÜLLER", "ohara", "o'hara"):
            assert search(typed) == one, typed
        for typed in ("12", "14 hill", "mill rd", "job-0017", "0017", "inv-0042", "inv0042"):
            assert search(typed) == one, typed
        assert set(search("42")) == both and set(search("inv-0")) == both
        assert set(search("  ")) == both and set(search("%_' ; --")) == both
        for typed in ("ater", "hot drain", "zebra", "inv-00421"):
            assert search(typed) == [], typed
        assert search("hot", "quote") == []


def test_what_changes_its_name_is_found_by_the_new_one(app: Flask) -> None:
    with app.app_context():
        harbour = contact(business="Harbour Strata")
        hill = Property(customer_id=harbour.id, name="12 Hill St")
        db.session.add(hill)
        db.session.commit()
        made = write("INV-0042", contact_id=harbour.id, property_id=hill.id, title="Harbour drain")
        harbour.business, hill.name = "Quay Strata", "The Lookout"
        db.session.commit()
        assert search("quay lookout") == ["INV-0042"]
        assert search("hill") == []
        assert search("harbour") == ["INV-0042"]  # still in its title
        keep_as = Draft(
            "invoice", "INV-0043", "Tap", harbour.id, "", "", dt.date(2026, 9, 1), None, "", ()
        )
        keep(keep_as, olive(), made)
        db.session.commit()
        assert search("tap") == search("43") == search("quay") == ["INV-0043"]
        assert search("drain") == search("42") == search("lookout") == []
        kept = db.session.execute(select(DocumentWord.word, DocumentWord.issued)).all()
        assert {tuple(row) for row in kept} == {
            (word, dt.date(2026, 9, 1)) for word in ("quay", "strata", "tap")
        }


def test_a_page_that_had_to_stop_looking_says_so_and_goes_on(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "FEW", 3)
    monkeypatch.setattr(listing, "MOST_LOOKED_AT", 4)
    monkeypatch.setattr(listing, "MOST_STRETCHES", 0)
    with app.app_context():
        newcastle, *_ = places()
        for day in range(1, 21):
            title = "Old drain" if day < 5 else "Hot tap"
            write(f"INV-{day:04d}", dt.date(2026, 10, day), title=title, branch_id=newcastle.id)
        filters = Filters(words="drain", branch_id=newcastle.id)
        seen, after, stops = [], None, 0
        for _ in range(20):
            found = listing.page("invoice", filters, after, size=2)
            seen += numbers(found)
            stops += found.looked_back_to is not None
            if (after := found.older) is None:
                break
        assert seen == ["INV-0004", "INV-0003", "INV-0002", "INV-0001"]
        assert stops


WORDS = st.sampled_from(["", "tap", "ta", "drain", "t", "1", "10", "inv", "lee", "zebra", "tap l"])
ASKED = st.builds(
    Filters,
    words=WORDS,
    email_status=st.sampled_from([(), ("pending",), ("pending", "queued"), ("refused",)]),
    batch_status=st.sampled_from([None, "", "draft"]),
    branch_id=st.sampled_from([None, 1, 2]),
    region_id=st.sampled_from([None, 1, 9]),
    contact_id=st.sampled_from([None, 1]),
    issued_from=st.sampled_from([None, dt.date(2026, 10, 5)]),
    issued_to=st.sampled_from([None, dt.date(2026, 10, 15)]),
    unsent=st.booleans(),
)


def test_pages_together_are_what_matches_whatever_is_asked(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However candidates are found, no page repeats a document or leaves one out."""
    with app.app_context():
        newcastle, _, wollongong = places()
        for serial in range(40):
            write(
                f"INV-{serial:04d}",
                dt.date(2026, 10, serial % 20 + 1),
                title=("Tap", "Drain", "Tank 10")[serial % 3],
                branch_id=(newcastle, wollongong)[serial % 2].id,
            )
        stored = db.session.scalars(select(Document).order_by(Document.id)).unique().all()
        for serial, one in enumerate(stored):
            one.email_status = ("pending", "queued", "refused", "n/a")[serial % 4]
            one.batch_status = ("", "draft")[serial % 5 == 0]
        db.session.commit()
        order = {one.id: Place(one.issued, one.id) for one in stored}
        by_number = {one.number: one.id for one in stored}

        @settings(
            max_examples=40,
            deadline=None,
            suppress_health_check=[HealthCheck.function_scoped_fixture],
        )
        @given(ASKED, st.sampled_from([3, 10, 600]), st.sampled_from([1, 4, 40]))
        def agree(filters: Filters, few: int, most_stretches: int) -> None:
            monkeypatch.setattr(listing, "FEW", few)
            monkeypatch.setattr(listing, "MOST_STRETCHES", most_stretches)
            wanted = sorted(
                db.session.scalars(listing.matching("invoice", filters)),
                key=lambda one: order[one],
                reverse=True,
            )
            seen: list[int] = []
            found = listing.page("invoice", filters, size=7)
            assert found.total in (None, len(wanted))
            last = found
            while True:
                seen += [by_number[number] for number in numbers(found)]
                last = found
                if found.older is None:
                    break
                found = listing.page("invoice", filters, found.older, size=7)
            assert seen == wanted
            if last.newer:
                before = listing.page("invoice", filters, last.newer, size=7)
                assert [by_number[one] for one in numbers(before)] == wanted[
                    len(wanted) - len(last.rows) - 7 : len(wanted) - len(last.rows)
                ]

        agree()


def test_filters_survive_their_address() -> None:
    asked = Filters(
        words="hill st",
        email_status=("n/a", "refused"),
        batch_status="",
        branch_id=1,
        region_id=2,
        property_id=3,
        contact_id=4,
        issued_from=dt.date(2026, 10, 1),
        issued_to=MONTH_END,
        unsent=True,
        batch_id=5,
    )
    assert Filters.from_args(MultiDict(asked.as_args())) == asked
    assert Filters().as_args() == {} and Filters.from_args(MultiDict()) == Filters()


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("email_status", "delivered"),
        ("batch_status", "sent"),
        ("branch_id", "north"),
        ("branch_id", "99999999999999999999"),
        ("region_id", "٣"),
        ("property_id", "-1"),
        ("contact_id", "1e3"),
        ("issued_from", "31/10/2026"),
        ("issued_to", "2026-02-30"),
        ("batch_id", "\0"),
    ],
)
def test_what_an_address_says_wrongly_is_left_out_and_said(name: str, bad: str) -> None:
    filters = Filters.from_args(MultiDict({name: bad, "unsent": "yes"}))
    assert filters == Filters(unsent=True)
    (said,) = filters.ignored
    assert said.startswith(f"“{bad}” is not a") and said.endswith("The list is shown without it.")


@given(st.text(max_size=30))
def test_a_place_in_a_list_is_read_or_is_the_beginning(written: str) -> None:
    read = Cursor.read(written)
    assert read is None or Cursor.read(str(read)) == read


def test_a_place_survives_its_address() -> None:
    for newer in (False, True):
        here = Cursor(Place(MONTH_END, 7), newer)
        assert Cursor.read(str(here)) == here


def test_after_a_merger_documents_are_found_by_who_stayed(app: Flask) -> None:
    with app.app_context():
        harbour = contact(business="Harbour Strata", email="office@harbour.example")
        quay = contact(business="Quay Strata", email="office@quay.example")
        write("INV-0042", contact_id=quay.id)
        contacts.merge(harbour, quay, [], olive())
        assert search("harbour") == ["INV-0042"] and search("quay") == []
