"""Regions and their branches, looked after so that no property or document falls into a gap.

While there is a branch in use, every property is in one, and every branch is in a region in use.
"""

from dataclasses import dataclass
from typing import cast

from sqlalchemy import Update, func, select, update
from sqlalchemy.exc import IntegrityError

from portal import history
from portal.accounts import User
from portal.documents import Document
from portal.documents.status import UNSENT
from portal.extensions import db
from portal.places import Branch, Property, Refused, Region, Use, branches, refuse_used
from portal.stores import rows_changed

Place = Region | Branch
#: The noun under which each keeps its history.
NOUNS = {Region: "region", Branch: "branch"}
#: The noun under which it is kept that one was deleted.
GONE = "places"


class NameTaken(Refused):
    """Another region or branch, perhaps an archived one, has this name."""


@dataclass(frozen=True)
class Moved:
    """How many properties went to another branch, and how many documents with them."""

    properties: int
    documents: int


def everywhere() -> list[Region]:
    """Every region with its branches, archived ones too, by name."""
    return list(db.session.scalars(select(Region).order_by(func.lower(Region.name), Region.id)))


def active_properties(branch: Branch) -> int:
    """How many properties in use are in a branch."""
    query = select(func.count()).select_from(Property)
    return db.session.scalar(query.where(Property.branch_id == branch.id, Property.active)) or 0


def property_counts() -> dict[int, int]:
    """How many properties in use each branch has, by the branch's id."""
    query = select(Property.branch_id, func.count()).where(Property.active)
    rows = db.session.execute(query.group_by(Property.branch_id))
    return {branch_id: count for branch_id, count in rows if branch_id is not None}


# -- making and renaming -------------------------------------------------------------------------


def add_region(name: str, user: User) -> Region:
    """A new region. Raises NameTaken. Commits."""
    _check_name(Region, name)
    made = Region(name=name)
    db.session.add(made)
    _keep(made, f"Added the region {name}.", user)
    return made


def add_branch(name: str, region: Region, user: User) -> tuple[Branch, Moved]:
    """A new branch in a region; the company's first one takes every property and document.

    Raises NameTaken, or Refused for an archived region. Commits.
    """
    _check_name(Branch, name)
    _check_region(region)
    first = db.session.scalar(select(Branch.id).limit(1)) is None
    made = Branch(name=name, region=region)
    db.session.add(made)
    _flush(made)
    moved = _take_all(made) if first else Moved(0, 0)
    _keep(made, f"Added the branch {name} in the region {region.name}.", user)
    return made, moved


def rename_region(region: Region, name: str, user: User) -> None:
    """Give a region another name. Raises NameTaken. Commits."""
    _check_name(Region, name, region.id)
    _rename(region, name, user)


def change_branch(branch: Branch, name: str, region: Region, user: User) -> None:
    """Give a branch another name, or move it to another region. Raises Refused. Commits."""
    _check_name(Branch, name, branch.id)
    if region.id != branch.region_id:
        _check_region(region)
        text = f"Moved from the region {branch.region.name} to {region.name}."
        history.note("branch", branch.id, text, user.name)
        branch.region = region
    _rename(branch, name, user)


def _rename(place: Place, name: str, user: User) -> None:
    old, place.name = place.name, name
    _keep(place, f"Renamed from {old} to {name}." if old != name else "", user)


def _keep(place: Place, text: str, user: User) -> None:
    """Store what was changed, and say so in its history. Commits."""
    _flush(place)
    if text:
        history.note(NOUNS[type(place)], place.id, text, user.name)
    db.session.commit()


def _flush(place: Place) -> None:
    name, noun = place.name, NOUNS[type(place)]
    try:
        db.session.flush()
    except IntegrityError:  # somebody stored the same name this very moment
        db.session.rollback()
        raise NameTaken(f"There is already a {noun} called {name}.") from None


def _check_name(table: type[Region] | type[Branch], name: str, mine: int = 0) -> None:
    same = select(table).where(func.lower(table.name) == name.lower(), table.id != mine)
    found = cast("Place | None", db.session.scalars(same).first())
    if found is not None:
        archived = "" if found.active else ". It is archived: bring it back, or choose another name"
        raise NameTaken(f"There is already a {NOUNS[table]} called {found.name}{archived}.")


def _check_region(region: Region) -> None:
    if not region.active:
        raise Refused(f"The region {region.name} is archived. Choose one that is in use.")


def _take_all(branch: Branch) -> Moved:
    """Nothing may be outside of every branch once there is one."""
    properties = update(Property).where(Property.branch_id.is_(None))
    documents = update(Document).where(Document.branch_id.is_(None))
    return Moved(*(_told(one.values(branch_id=branch.id)) for one in (properties, documents)))


# -- moving, archiving, deleting -----------------------------------------------------------------


def move_properties(branch: Branch, to: Branch, user: User) -> Moved:
    """Every property of a branch goes to another one, with its documents that were never sent.

    So does what was written in the branch for no property and never sent. Raises Refused. Commits.
    """
    if to.id == branch.id or not to.active:
        raise Refused("Choose another branch that is in use.")
    unsent = Document.email_status.in_(UNSENT)
    documents = update(Document).where(Document.branch_id == branch.id, unsent)
    properties = update(Property).where(Property.branch_id == branch.id)
    written = _told(documents.values(branch_id=to.id))
    # A form of a property that is open meanwhile must notice.
    moved = _told(properties.values(branch_id=to.id, version=Property.version + 1))
    text = f"Moved {moved:,} properties and {written:,} unsent documents"
    history.note("branch", branch.id, f"{text} to {to.name}.", user.name)
    history.note("branch", to.id, f"{text} here from {branch.name}.", user.name)
    db.session.commit()
    return Moved(moved, written)


def _told(statement: Update) -> int:
    options = {"synchronize_session": False}
    return rows_changed(db.session.execute(statement, execution_options=options))


def archive(place: Place, user: User) -> None:
    """Take a place out of use: nothing new can be put into it. Raises Refused. Commits."""
    if isinstance(place, Region):
        _check_empty(place)
    else:
        _check_free(place)
    place.active = False
    _keep(place, "Archived.", user)


def _check_empty(region: Region) -> None:
    used = [one for one in region.branches if one.active]
    if used:
        uses = [Use("Branch", one.name, "branch", one.id) for one in used]
        raise Refused(f"{region.name} still has branches in use. Move or archive them first.", uses)


def _check_free(branch: Branch) -> None:
    used = active_properties(branch)
    if used:
        have = "1 property" if used == 1 else f"{used:,} properties"
        raise Refused(f"{branch.name} still has {have} in use. Move them to another branch first.")
    if [one.id for one in branches()] == [branch.id]:
        raise Refused(f"{branch.name} is the last branch in use. Add another one first.")


def bring_back(place: Place, user: User) -> None:
    """Use a place again; of a branch its region too. Commits."""
    if isinstance(place, Branch) and not place.region.active:
        place.region.active = True
        history.note("region", place.region_id, "Brought back.", user.name)
    place.active = True
    _keep(place, "Brought back.", user)


def delete(place: Place, user: User) -> None:
    """Remove a place that nothing needs. Raises Refused with what needs it. Commits."""
    refuse_used(place)
    noun = NOUNS[type(place)]
    history.forget(noun, place.id)
    history.note(GONE, 0, f"Deleted the {noun} {place.name}.", user.name)
    db.session.delete(place)
    db.session.commit()
