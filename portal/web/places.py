"""The pages of Administration › Regions and branches."""

from collections.abc import Iterable
from dataclasses import dataclass

from flask import Blueprint, abort, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf import FlaskForm
from wtforms import SelectChoice, SelectField
from wtforms.validators import DataRequired

from portal import history, places, policy, regions, senders
from portal.extensions import db
from portal.people import Contact
from portal.places import Branch, Property, Refused, Region
from portal.regions import Moved, NameTaken
from portal.senders import Place, Rule, Scope
from portal.web.fields import Line
from portal.web.guard import managers_only
from portal.web.meanwhile import Meanwhile, Versioned, once_more, since
from portal.web.page import page, see_other

pages = Blueprint("places", __name__)

#: What a person may do to a region or a branch besides changing it.
DEEDS = {
    "archive": (regions.archive, "archived"),
    "bring-back": (regions.bring_back, "in use again"),
    "delete": (regions.delete, "deleted"),
}


class RegionForm(FlaskForm):  # type: ignore[misc]
    """A new region."""

    name = Line("Name of the region", [DataRequired("Write the region’s name.")], most=80)


class BranchForm(FlaskForm):  # type: ignore[misc]
    """A new branch."""

    name = Line("Name of the branch", [DataRequired("Write the branch’s name.")], most=80)
    region_id = SelectField("Region", coerce=int)


class RegionAsIs(Versioned, RegionForm):
    """A region that is changed."""


class BranchAsIs(Versioned, BranchForm):
    """A branch that is changed."""


@dataclass(frozen=True)
class Shown:
    """A page of one region or branch: what was tried and refused, and what somebody else did."""

    refused: Refused | None = None
    meanwhile: Meanwhile | None = None

    @property
    def status(self) -> int:
        return 409 if self.meanwhile else 422


@pages.get("/settings/places")
@managers_only
def index() -> ResponseReturnValue:
    """The regions, and the branches in them."""
    return _index(RegionForm(None, prefix="region-"), _branch_form())


@pages.post("/settings/regions")
@managers_only
def add_region() -> ResponseReturnValue:
    """Keep a new region."""
    form = RegionForm(prefix="region-")
    if not form.validate():
        return _index(form, _branch_form(), 422)
    try:
        made = regions.add_region(form.name.data, current_user)
    except Refused as problem:
        form.name.errors = [str(problem)]
        return _index(form, _branch_form(), 422)
    flash(f"{made.name} is added. Now add the branches in it.", "good")
    return see_other(url_for(".index") + "#add-branch")


@pages.post("/settings/branches")
@managers_only
def add_branch() -> ResponseReturnValue:
    """Keep a new branch; the first one takes everything there is."""
    form = _offered(BranchForm(prefix="branch-"))
    if not form.validate():
        return _index(RegionForm(None, prefix="region-"), form, 422)
    region = db.session.get(Region, form.region_id.data) or abort(400)
    try:
        made, moved = regions.add_branch(form.name.data, region, current_user)
    except Refused as problem:
        _beside(form, problem)
        return _index(RegionForm(None, prefix="region-"), form, 422)
    flash(f"{made.name} is added.{_taken(moved)}", "good")
    return see_other(url_for(".index"))


def _taken(moved: Moved) -> str:
    if not moved.properties and not moved.documents:
        return ""
    return f" As the first branch it took everything there is: {_counted(moved)}."


def _counted(moved: Moved) -> str:
    properties = "1 property" if moved.properties == 1 else f"{moved.properties:,} properties"
    documents = "1 document" if moved.documents == 1 else f"{moved.documents:,} documents"
    return f"{properties} and {documents}"


@pages.get("/settings/regions/<int:region_id>")
@managers_only
def region(region_id: int) -> ResponseReturnValue:
    """One region, to be renamed, archived or deleted."""
    one = _region(region_id)
    return _region_page(one, RegionAsIs(None, obj=one))


@pages.post("/settings/regions/<int:region_id>")
@managers_only
@once_more
def change_region(region_id: int) -> ResponseReturnValue:
    """Keep a region's new name."""
    one, form = _region(region_id), RegionAsIs()
    if not form.validate():
        return _region_page(one, form, Shown())
    if found := since(form, one, ("name",), "region"):
        return _region_page(one, form, Shown(meanwhile=found))
    try:
        regions.rename_region(one, form.name.data, current_user)
    except Refused as problem:
        _beside(form, problem)
        return _region_page(one, form, Shown())
    flash(f"{one.name} is saved.", "good")
    return see_other(url_for(".index"))


@pages.get("/settings/branches/<int:branch_id>")
@managers_only
def branch(branch_id: int) -> ResponseReturnValue:
    """One branch, to be renamed, moved, emptied, archived or deleted."""
    one = _branch(branch_id)
    return _branch_page(one, _offered(BranchAsIs(None, obj=one), one))


@pages.post("/settings/branches/<int:branch_id>")
@managers_only
@once_more
def change_branch(branch_id: int) -> ResponseReturnValue:
    """Keep a branch's new name or region."""
    one = _branch(branch_id)
    form = _offered(BranchAsIs(), one)
    if not form.validate():
        return _branch_page(one, form, Shown())
    if found := since(form, one, ("name", "region_id"), "branch"):
        return _branch_page(one, form, Shown(meanwhile=found))
    wanted = db.session.get(Region, form.region_id.data) or abort(400)
    try:
        regions.change_branch(one, form.name.data, wanted, current_user)
    except Refused as problem:
        _beside(form, problem)
        return _branch_page(one, form, Shown())
    flash(f"{one.name} is saved.", "good")
    return see_other(url_for(".index"))


@pages.post("/settings/branches/<int:branch_id>/properties")
@managers_only
@once_more
def move_properties(branch_id: int) -> ResponseReturnValue:
    """Every property of a branch goes to another one."""
    one = _branch(branch_id)
    typed = request.form.get("to", "")
    to = db.session.get(Branch, int(typed)) if typed.isdecimal() and len(typed) < 10 else None
    try:
        if to is None:
            raise Refused("Choose the branch they move to.")
        moved = regions.move_properties(one, to, current_user)
    except Refused as problem:
        return _as_it_is(one, problem)
    flash(f"Moved to {to.name}: {_counted(moved)} that were not sent yet.", "good")
    return see_other(url_for(".branch", branch_id=one.id))


@pages.post("/settings/regions/<int:region_id>/<deed>")
@managers_only
@once_more
def do_to_region(region_id: int, deed: str) -> ResponseReturnValue:
    """Archive a region, bring it back, or delete it."""
    return _do(_region(region_id), deed)


@pages.post("/settings/branches/<int:branch_id>/<deed>")
@managers_only
@once_more
def do_to_branch(branch_id: int, deed: str) -> ResponseReturnValue:
    """Archive a branch, bring it back, or delete it."""
    return _do(_branch(branch_id), deed)


def _do(one: regions.Place, deed: str) -> ResponseReturnValue:
    verb, done = DEEDS.get(deed) or abort(404)
    name = one.name
    try:
        verb(one, current_user)
    except Refused as problem:
        return _as_it_is(one, problem)
    flash(f"{name} is {done}.", "good")
    return see_other(url_for(".index"))


def _as_it_is(one: regions.Place, refused: Refused) -> ResponseReturnValue:
    """The page of a place to which nothing was done, with the reason."""
    if isinstance(one, Region):
        return _region_page(one, RegionAsIs(None, obj=one), Shown(refused))
    return _branch_page(one, _offered(BranchAsIs(None, obj=one), one), Shown(refused))


def _beside(form: FlaskForm, problem: Refused) -> None:
    """Put a refusal beside the field it is about."""
    field = form.name if isinstance(problem, NameTaken) or "region_id" not in form else None
    (field or form.region_id).errors = [str(problem)]


def _branch_form() -> BranchForm:
    wanted = request.args.get("region", "")
    form = _offered(BranchForm(None, prefix="branch-"))
    form.region_id.data = int(wanted) if wanted.isdecimal() and len(wanted) < 10 else None
    return form


def _offered(form: BranchForm, one: Branch | None = None) -> BranchForm:
    """The regions in use to choose from, and the one a branch is in."""
    offered = {region.id: region.name for region in places.regions()}
    if one is not None:
        offered.setdefault(one.region_id, one.region.name)
    form.region_id.choices = [SelectChoice(*one) for one in offered.items()]
    return form


def _index(region: RegionForm, branch: BranchForm, status: int = 200) -> ResponseReturnValue:
    return page(
        "places/index.html",
        None,
        status,
        regions=regions.everywhere(),
        counts=regions.property_counts(),
        rules=_by_place(policy.rules()),
        region_form=region,
        branch_form=branch,
        deleted=history.of(regions.GONE, 0, limit=10),
    )


def _by_place(rules: Iterable[Rule]) -> dict[tuple[str, int], list[str]]:
    """The rules in words, by the scope and number of their place."""
    found: dict[tuple[str, int], list[str]] = {}
    for one in rules:
        found.setdefault((str(one.scope), one.scope_id), []).append(_in_words(one))
    return found


def _in_words(rule: Rule) -> str:
    comes = "come" if rule.kind else "comes"
    return f"{policy.kind_words(rule.kind)} {comes} from {senders.source(rule)}."


def rules_of(scope: Scope, where: Region | Branch | Property | Contact) -> list[str]:
    """The sender rules set at a place itself, in words."""
    place = Place(scope, where.id, where.name)
    return _by_place(policy.rules([place])).get((str(scope), where.id), [])


def _region_page(one: Region, form: RegionAsIs, shown: Shown | None = None) -> ResponseReturnValue:
    return page(
        "places/region.html",
        None,
        shown.status if shown else 200,
        region=one,
        form=form,
        shown=shown or Shown(),
        rules=rules_of(Scope.REGION, one),
        changes=history.of("region", one.id),
    )


def _branch_page(one: Branch, form: BranchForm, shown: Shown | None = None) -> ResponseReturnValue:
    return page(
        "places/branch.html",
        None,
        shown.status if shown else 200,
        branch=one,
        form=form,
        shown=shown or Shown(),
        others=[other for other in places.branches() if other.id != one.id],
        used=regions.active_properties(one),
        rules=rules_of(Scope.BRANCH, one),
        changes=history.of("branch", one.id),
    )


def _region(number: int) -> Region:
    return db.session.get(Region, number) or abort(404)


def _branch(number: int) -> Branch:
    return db.session.get(Branch, number) or abort(404)
