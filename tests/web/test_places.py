"""Olive arranges the company's regions and branches."""

import pytest
from bs4 import BeautifulSoup
from flask import Flask
from sqlalchemy import select, update

from portal import regions
from portal.documents import Document
from portal.extensions import db
from portal.places import Branch, Property, Region
from portal.policy import put_rule
from portal.senders import Mode, Place, Scope
from tests.factories import branch, document, hill_st, nia, olive
from tests.visitor import Visitor, said, visitor


@pytest.fixture
def manager(app: Flask) -> Visitor:
    return visitor(app, olive)


def number_of(app: Flask, table: type[Branch] | type[Region], name: str) -> int:
    with app.app_context():
        found = db.session.scalars(select(table.id).where(table.name == name)).one()
    return int(found)


def test_regions_and_branches_are_added_and_the_first_takes_everything(
    app: Flask, manager: Visitor
) -> None:
    with app.app_context():
        document(site=hill_st(branch=None))
    assert "No branches yet" in manager.words("/settings/places")
    added = manager.post("/settings/regions", {"region-name": " North "})
    assert added.location == "/settings/places#add-branch"
    there = {"branch-name": "Newcastle", "branch-region_id": str(number_of(app, Region, "North"))}
    assert manager.post("/settings/branches", there).status_code == 303
    page = manager.words("/settings/places")
    assert "it took everything there is: 1 property and 1 document." in page
    assert "Newcastle 1 property" in page
    with app.app_context():
        newcastle = db.session.query(Branch).one()
        assert db.session.query(Property).one().branch_id == newcastle.id
        assert db.session.query(Document).one().branch_id == newcastle.id


def test_a_name_that_is_taken_is_told_beside_the_field_and_what_was_typed_is_kept(
    app: Flask, manager: Visitor
) -> None:
    with app.app_context():
        branch()
    region = str(number_of(app, Region, "North"))
    for address, name, typed, sentence in (
        ("/settings/regions", "region-name", "NORTH", "There is already a region called North."),
        ("/settings/regions", "region-name", "", "Write the region’s name."),
        ("/settings/branches", "branch-name", "newcastle", "already a branch called Newcastle"),
    ):
        form = {name: typed, "branch-region_id": region}
        answer = manager.post(address, form)
        assert answer.status_code == 422
        page = BeautifulSoup(answer.text, "html.parser")
        beside, field = page.find(id=f"{name}-error"), page.select_one(f"[name={name}]")
        assert beside and sentence in beside.get_text(" "), typed
        assert field and field.get("value", "") == typed


def test_the_tree_shows_the_rules_set_at_each_place(app: Flask, manager: Visitor) -> None:
    with app.app_context():
        newcastle = branch()
        put_rule("invoice", Mode.USER, place=Place(Scope.BRANCH, newcastle.id, "Newcastle"))
        region = Place(Scope.REGION, newcastle.region_id, "North")
        put_rule("", Mode.SPECIFIED, "north@brightspark.example", place=region)
        db.session.commit()
        number = newcastle.id
    page = manager.words("/settings/places")
    assert "Every document comes from north@brightspark.example." in page
    assert "Invoices come from whoever presses Send." in page
    assert "Invoices come from whoever presses Send." in manager.words(
        f"/settings/branches/{number}"
    )


def test_a_branch_with_properties_is_emptied_in_one_go_and_then_archived(
    app: Flask, manager: Visitor
) -> None:
    with app.app_context():
        document(site=hill_st())
        hill_st("9 Quay St")
        branch("Gosford")
    newcastle, gosford = (number_of(app, Branch, name) for name in ("Newcastle", "Gosford"))
    here = f"/settings/branches/{newcastle}"
    refused = manager.post(f"{here}/archive")
    assert refused.status_code == 422
    assert "Newcastle still has 2 properties in use. Move them to another branch first." in said(
        refused
    )
    assert "Move 2 properties" in said(refused)
    assert "Choose the branch they move to." in said(manager.post(f"{here}/properties"))
    moved = manager.post(f"{here}/properties", {"to": str(gosford)})
    assert moved.location == here
    assert "Moved to Gosford: 2 properties and 1 document" in manager.words(here)
    assert manager.post(f"{here}/archive").location == "/settings/places"
    assert "Newcastle is archived." in manager.words("/settings/places")
    assert manager.post(f"{here}/bring-back").status_code == 303
    with app.app_context():
        assert db.session.get(Branch, newcastle).active  # type: ignore[union-attr]


def test_deleting_what_is_in_use_is_refused_with_what_uses_it(app: Flask, manager: Visitor) -> None:
    with app.app_context():
        document(site=hill_st(), number="INV-0042")
        branch("Gosford")
    newcastle = number_of(app, Branch, "Newcastle")
    answer = manager.post(f"/settings/branches/{newcastle}/delete")
    assert answer.status_code == 422
    page = BeautifulSoup(answer.text, "html.parser")
    links = {one.text: one["href"] for one in page.select(".uses a")}
    assert list(links) == ["12 Hill St", "INV-0042"]
    assert manager.get(str(links["12 Hill St"])).status_code == 200
    assert "Archive Newcastle" in said(answer), "archiving is offered"
    gosford = number_of(app, Branch, "Gosford")
    assert manager.post(f"/settings/branches/{gosford}/delete").location == "/settings/places"
    assert "Deleted the branch Gosford." in manager.words("/settings/places")
    assert manager.post(f"/settings/branches/{newcastle}/paint").status_code == 404


def test_who_saves_second_sees_what_changed_and_loses_nothing(app: Flask, manager: Visitor) -> None:
    with app.app_context():
        newcastle, south = branch(), branch("Wollongong", "South").region
        number, version, region = newcastle.id, newcastle.version, newcastle.region_id
        regions.change_branch(newcastle, "Newcastle", south, nia())
        south_id = south.id
    typed = {"name": "Newcastle East", "region_id": str(region), "version": str(version)}
    answer = manager.post(f"/settings/branches/{number}", typed)
    assert answer.status_code == 409
    words = said(answer)
    assert "Nia Cole changed this" in words and "Region South North" in words
    page = BeautifulSoup(answer.text, "html.parser")
    kept = {one["name"]: one.get("value") for one in page.select("#place input[name]")}
    assert kept["name"] == "Newcastle East"
    again = typed | {"version": str(kept["version"]), "region_id": str(south_id)}
    assert manager.post(f"/settings/branches/{number}", again).status_code == 303
    with app.app_context():
        stored = db.session.get(Branch, number)
        assert stored and (stored.name, stored.region.name) == ("Newcastle East", "South")


def test_a_region_is_renamed_and_keeps_its_story(app: Flask, manager: Visitor) -> None:
    with app.app_context():
        region = branch().region
        number, version = region.id, region.version
    form = {"name": "Hunter", "version": str(version)}
    assert manager.post(f"/settings/regions/{number}", form).location == "/settings/places"
    page = manager.words(f"/settings/regions/{number}")
    assert "Renamed from North to Hunter." in page and "Olive Park" in page
    refused = manager.post(f"/settings/regions/{number}/archive")
    assert "Hunter still has branches in use. Move or archive them first." in said(refused)
    taken = manager.post(f"/settings/regions/{number}", {"name": "", "version": "2"})
    assert taken.status_code == 422 and "Write the region’s name." in said(taken)


@pytest.mark.parametrize("what", ["rename", "archive"])
def test_two_who_save_at_the_very_same_moment_both_end_at_a_page(
    app: Flask, manager: Visitor, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    with app.app_context():
        number = branch("Gosford").id
        version = branch().version
    flush, saved = regions._flush, list[str]()

    def overtaken(place: regions.Place) -> None:
        if not saved:
            mine = update(Branch).where(Branch.id == number)
            options = {"synchronize_session": False}
            with db.session.no_autoflush:
                db.session.execute(mine.values(version=7), execution_options=options)
        saved.append(place.name)
        flush(place)

    monkeypatch.setattr(regions, "_flush", overtaken)
    with app.app_context():
        region = db.session.get_one(Branch, number).region_id
    here, form = f"/settings/branches/{number}", {"name": "Gosford East", "version": str(version)}
    answer = manager.post(
        here if what == "rename" else f"{here}/archive", form | {"region_id": str(region)}
    )
    assert answer.status_code == 303 and len(saved) == 2
    with app.app_context():
        kept = db.session.get_one(Branch, number)
        assert kept.name == "Gosford East" if what == "rename" else not kept.active
