"""Pages of properties: where customers have work done, and who receives what there."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flask import Blueprint, abort, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from werkzeug.datastructures import MultiDict
from wtforms import (
    HiddenField,
    RadioField,
    SelectChoice,
    SelectField,
    StringField,
    TextAreaField,
    ValidationError,
)
from wtforms.validators import DataRequired

from portal import history, places, properties
from portal.accounts import active_people
from portal.documents.kinds import KINDS
from portal.extensions import db
from portal.people import USUAL_FOR, Contact, find_contacts
from portal.places import FLAGS, Property, Refused
from portal.properties import Draft, Filters
from portal.recipients import Recipients
from portal.senders import Scope
from portal.web.fields import Line, Most, printable, stripped
from portal.web.guard import on_site
from portal.web.meanwhile import Difference, Meanwhile, Versioned, once_more, since
from portal.web.onward import onward
from portal.web.page import page, see_other, wants_fragment
from portal.web.places import rules_of

pages = Blueprint("properties", __name__)

#: How many customers or contacts a search offers.
OFFERED = 6
COMPARED = ("name", "address", "customer_id", "branch_id", "account_manager_id", "notes")
DEEDS = {
    "archive": (properties.archive, "archived"),
    "bring-back": (properties.bring_back, "in use again"),
    "delete": (properties.delete, "deleted"),
}


def _chosen(value: object) -> int | None:
    """The number of a chosen record; None for none."""
    typed = str(value or "")
    return int(typed) if typed.isdecimal() and 0 < len(typed) < 10 and int(typed) else None


class PropertyForm(Versioned):
    """What is known of a property. present: whose it is now."""

    present: int | None = None
    next = HiddenField()
    name = Line("Name", [DataRequired("Write a name, such as 12 Hill St.")], most=120)
    address = TextAreaField("Address", [printable, Most(500)], filters=[stripped])
    find = StringField("Find the customer", filters=[stripped])
    customer_id = RadioField("Customer", coerce=_chosen, validate_choice=False)
    branch_id = SelectField("Branch", coerce=_chosen)
    account_manager_id = SelectField("Account manager", coerce=_chosen)
    notes = TextAreaField("Notes", [printable, Most(4000)], filters=[stripped])

    def validate_customer_id(self, field: RadioField) -> None:
        """A property is always some customer's, and a new one's is active."""
        found = db.session.get(Contact, field.data) if field.data else None
        if found is None:
            raise ValidationError("Find the customer, and choose them.")
        if not found.active and found.id != self.present:
            raise ValidationError(f"{found.name} is no longer active. Choose another customer.")

    def draft(self) -> Draft:
        return Draft(
            name=self.name.data,
            address=self.address.data or "",
            customer_id=self.customer_id.data,
            branch_id=self.branch_id.data,
            account_manager_id=self.account_manager_id.data,
            notes=self.notes.data or "",
        )


@dataclass(frozen=True)
class Sentence:
    """Who would receive one kind of document at a property, in words."""

    kind: str
    recipients: Recipients

    @property
    def begins(self) -> str:
        noun = KINDS[self.kind].noun
        return f"{'An' if noun[0] in 'aeiou' else 'A'} {noun}"

    @property
    def by_party(self) -> bool:
        """Whether it goes to the party on it, and the contacts here get copies."""
        return KINDS[self.kind].recipient == "supplier"


@dataclass(frozen=True)
class Shown:
    """A property's page after something was tried: what was refused, or what somebody else did."""

    refused: Refused | None = None
    meanwhile: Meanwhile | None = None
    ticks: Mapping[int, set[str]] | None = None


# -- the list ------------------------------------------------------------------------------------


@pages.get("/properties")
def index() -> ResponseReturnValue:
    """The properties, by name, narrowed to what the address says."""
    filters = _filters(request.args)
    found = properties.found(filters, _chosen(request.args.get("after")) or 0)
    return page(
        "properties/index.html",
        "found",
        filters=filters,
        args=_as_args(filters),
        found=found,
        customer=db.session.get(Contact, filters.customer_id) if filters.customer_id else None,
        managers=active_people(),
        branches=places.branches(),
        regions=places.regions(),
        waiting=0 if wants_fragment() else properties.invoices_waiting(),
    )


def _filters(args: MultiDict[str, str]) -> Filters:
    """The filters an address names; what cannot be understood is left out."""
    manager, state = args.get("manager", ""), args.get("state", "")
    known = manager in (properties.NO_MANAGER, properties.LEFT) or _chosen(manager)
    return Filters(
        words=args.get("q", "").strip(),
        branch_id=_chosen(args.get("branch")) or 0,
        region_id=_chosen(args.get("region")) or 0,
        customer_id=_chosen(args.get("customer")) or 0,
        manager=manager if known else "",
        no_billing=bool(args.get("lacking")),
        state=state if state in (properties.ARCHIVED, properties.ALL) else properties.IN_USE,
    )


def _as_args(filters: Filters) -> dict[str, str | int]:
    """What url_for() needs to name the same filters."""
    named: dict[str, str | int] = {
        "q": filters.words,
        "branch": filters.branch_id,
        "region": filters.region_id,
        "customer": filters.customer_id,
        "manager": filters.manager,
        "lacking": "billing" if filters.no_billing else "",
        "state": filters.state,
    }
    return {name: value for name, value in named.items() if value}


# -- writing one ---------------------------------------------------------------------------------


@pages.get("/properties/new")
def new() -> ResponseReturnValue:
    """An empty form; a customer's page brings its customer, a document its way back."""
    form = _offered(PropertyForm(None))
    customer = _brought(form)
    form.next.data = request.args.get("next", "")
    if customer is not None and not form.name.data:
        form.name.data, form.address.data = _first_line(customer.address), customer.address
    return _form_page(form)


def _brought(form: PropertyForm) -> Contact | None:
    """The customer in the address, now chosen on the form; and the words looked for."""
    form.find.data = request.args.get("find", "")
    named = (request.args.get(name) for name in ("contact", "customer_id", "customer"))
    customer = db.session.get(Contact, _chosen(next(filter(None, named), "")) or 0)
    if customer is not None:
        form.customer_id.data = customer.id
    return customer


def _first_line(text: str) -> str:
    return next(iter(text.splitlines()), "")[:120]


@pages.post("/properties")
def create() -> ResponseReturnValue:
    """Keep a new property; its customer receives everything until somebody says otherwise."""
    form = _offered(PropertyForm())
    if "look" in request.form:
        return _form_page(form)
    if not form.validate():
        return _form_page(form, status=422)
    made = properties.add(form.draft(), current_user)
    flash(f"{made.name} is added. {made.customer.name} is its contact for everything.", "good")
    there = url_for(".show", property_id=made.id)
    return see_other(onward(form.next.data, property=made.id) if form.next.data else there)


@pages.get("/properties/<int:property_id>/edit")
def edit(property_id: int) -> ResponseReturnValue:
    """The form as the property stands."""
    where = _property(property_id)
    form = _offered(PropertyForm(None, obj=where), where)
    _brought(form)
    return _form_page(form, where)


@pages.post("/properties/<int:property_id>")
@once_more
def update(property_id: int) -> ResponseReturnValue:
    """Keep what is known of the property now; its unsent documents go with it."""
    where = _property(property_id)
    form = _offered(PropertyForm(), where)
    if "look" in request.form:
        return _form_page(form, where)
    if not form.validate():
        return _form_page(form, where, 422)
    if found := _since(form, where):
        return _form_page(form, where, 409, found)
    moved = properties.change(where, form.draft(), current_user)
    also = f" {_documents(moved)} not sent yet moved with it." if moved else ""
    flash(f"{where.name} is saved.{also}", "good")
    return see_other(url_for(".show", property_id=where.id))


def _since(form: PropertyForm, where: Property) -> Meanwhile | None:
    """What somebody else changed, with the customers by their names."""
    form.customer_id.choices = [SelectChoice(one.id, one.name) for one in _customers(form)]
    return since(form, where, COMPARED, "property")


def _documents(number: int) -> str:
    return "1 document" if number == 1 else f"{number:,} documents"


def _offered(form: PropertyForm, where: Property | None = None) -> PropertyForm:
    """Branches and people to choose from, with those the property has even if they are gone."""
    form.present = where.customer_id if where else None
    branches = {one.id: one.name for one in places.branches()}
    people = {one.id: one.name for one in active_people()}
    if where is not None and where.branch is not None:
        branches.setdefault(where.branch.id, f"{where.branch.name} (archived)")
    if where is not None and where.account_manager is not None:
        people.setdefault(where.account_manager.id, f"{where.account_manager.name} (left)")
    none = {} if branches else {"": "The company has no branches yet"}
    form.branch_id.choices = [SelectChoice(*one) for one in (*none.items(), *branches.items())]
    form.account_manager_id.choices = [
        SelectChoice(*one) for one in (("", "Nobody"), *people.items())
    ]
    return form


def _form_page(
    form: PropertyForm,
    where: Property | None = None,
    status: int = 200,
    changed: Meanwhile | None = None,
) -> ResponseReturnValue:
    way_back = form.next.data or None
    new_page = url_for(".new", next=way_back)
    there = url_for(".show", property_id=where.id) if where else url_for(".index")
    return page(
        "properties/form.html",
        "customers",
        status,
        form=form,
        where=where,
        changed=changed,
        this_page=url_for(".edit", property_id=where.id) if where else new_page,
        back=on_site(way_back) if way_back else there,
        given="contact" in request.args,
        customers=_customers(form),
    )


def _customers(form: PropertyForm) -> list[Contact]:
    """Who is chosen, whose it is now, and whom the search finds."""
    numbers = dict.fromkeys((form.customer_id.data, form.present))
    known = [one for number in numbers if number and (one := db.session.get(Contact, number))]
    words = form.find.data or ""
    found = find_contacts(words, USUAL_FOR["customer"], limit=OFFERED) if words or not known else []
    return [*known, *(one for one in found if one not in known)]


# -- one property --------------------------------------------------------------------------------


@pages.get("/properties/<int:property_id>")
def show(property_id: int) -> ResponseReturnValue:
    """Everything about a property; with ticks in the address, who would receive what by them."""
    where = _property(property_id)
    ticks = _ticks(request.args) if "contact" in request.args else None
    return _page(where, Shown(ticks=ticks))


@pages.post("/properties/<int:property_id>/ticks")
@once_more
def tick(property_id: int) -> ResponseReturnValue:
    """Keep what each contact receives."""
    where, wanted = _property(property_id), _ticks(request.form)
    if found := _ticked_meanwhile(where, wanted, request.form.get("version", "")):
        return _page(where, Shown(meanwhile=found, ticks=wanted), 409)
    properties.tick(where, wanted, current_user)
    flash(f"Who receives what at {where.name} is saved.", "good")
    return see_other(url_for(".show", property_id=where.id) + "#contacts")


def _ticks(source: MultiDict[str, str]) -> dict[int, set[str]]:
    """The ticks a page sends: for each contact that stood on it, the names of its flags."""
    shown = [number for one in source.getlist("contact") if (number := _chosen(one))]
    return {
        number: {name for name in FLAGS if str(number) in source.getlist(name)} for number in shown
    }


def _ticked_meanwhile(
    where: Property, wanted: Mapping[int, Iterable[str]], version: str
) -> Meanwhile | None:
    """What stands otherwise than this person has it, if somebody changed the property since."""
    if version == str(where.version):
        return None
    stored = properties.ticked(where)
    names = {one.contact_id: one.contact.name for one in where.contacts}
    found = [
        Difference(f"{names[number]}: {label}", _yes(flag in stored[number]), _yes(flag in mine))
        for number, mine in wanted.items()
        if number in stored
        for flag, label in FLAGS.items()
        if (flag in stored[number]) != (flag in mine)
    ]
    last = next(iter(history.of("property", where.id, limit=1)), None)
    if not found:
        return None
    return Meanwhile(found, last.actor if last else "", last.at if last else None)


def _yes(answer: bool) -> str:
    return "yes" if answer else "no"


@pages.get("/properties/<int:property_id>/contacts")
def contacts(property_id: int) -> ResponseReturnValue:
    """Find somebody to add."""
    where, words = _property(property_id), request.args.get("q", "")
    there = {one.contact_id for one in where.contacts}
    found = find_contacts(words, limit=OFFERED + len(there))
    new = db.session.get(Contact, _chosen(request.args.get("contact")) or 0)
    offered = [one for one in ([new] if new else found) if one.id not in there]
    return page(
        "properties/contacts.html", "found", where=where, words=words, found=offered[:OFFERED]
    )


@pages.post("/properties/<int:property_id>/contacts")
@once_more
def add_contact(property_id: int) -> ResponseReturnValue:
    """One more contact of the property."""
    where = _property(property_id)
    contact = db.session.get(Contact, _chosen(request.form.get("contact")) or 0) or abort(400)
    try:
        properties.add_contact(where, contact, current_user)
    except Refused as problem:
        return _page(where, Shown(problem), 422)
    flash(f"{contact.name} is added. Tick what they receive, then save.", "good")
    return see_other(url_for(".show", property_id=where.id) + "#contacts")


@pages.post("/properties/<int:property_id>/contacts/<int:contact_id>/remove")
@once_more
def remove_contact(property_id: int, contact_id: int) -> ResponseReturnValue:
    """One contact of the property fewer."""
    where = _property(property_id)
    contact = db.session.get(Contact, contact_id) or abort(404)
    properties.remove_contact(where, contact, current_user)
    flash(f"{contact.name} no longer receives anything for {where.name}.", "good")
    return see_other(url_for(".show", property_id=where.id) + "#contacts")


@pages.post("/properties/<int:property_id>/<deed>")
@once_more
def do(property_id: int, deed: str) -> ResponseReturnValue:
    """Archive a property, bring it back, or delete it."""
    where = _property(property_id)
    verb, done = DEEDS.get(deed) or abort(404)
    try:
        verb(where, current_user)
    except Refused as problem:
        return _page(where, Shown(problem), 422)
    flash(f"{where.name} is {done}.", "good")
    gone = deed == "delete"
    return see_other(url_for(".index") if gone else url_for(".show", property_id=property_id))


def _page(where: Property, shown: Shown, status: int = 200) -> ResponseReturnValue:
    stored = properties.ticked(where)
    ticks = {**stored, **(shown.ticks or {})}
    return page(
        "properties/show.html",
        "receiving",
        status,
        where=where,
        shown=shown,
        flags=FLAGS,
        ticks=ticks,
        unsaved=ticks != stored,
        sentences=[
            Sentence(kind, found) for kind, found in properties.receiving(where, ticks).items()
        ],
        waiting=properties.invoices_waiting(where),
        documents=properties.newest_documents(where),
        rules=rules_of(Scope.PROPERTY, where),
        changes=history.of("property", where.id),
    )


def _property(number: int) -> Property:
    return db.session.get(Property, number) or abort(404)
