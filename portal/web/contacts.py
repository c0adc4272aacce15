"""Pages of contacts: what is known of customers, suppliers and employees, and hangs on them."""

from dataclasses import dataclass

from flask import Blueprint, abort, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy import or_, select
from sqlalchemy.orm.exc import StaleDataError

from portal import bounces, contacts, corrections, history
from portal.accounts import user_of
from portal.contacts import KNOWN, AddressTaken
from portal.documents import Document
from portal.documents.kinds import KINDS
from portal.extensions import db
from portal.people import CONTACT_TYPES, USUAL_FOR, Contact, contact_with, find_contacts, place_of
from portal.places import MARKS, Property, PropertyContact, Refused
from portal.senders import Scope
from portal.spelling import tidied
from portal.web.contactform import ContactForm, blank_form, stored_form, typed_form
from portal.web.guard import managers_only, on_site
from portal.web.meanwhile import Meanwhile, since
from portal.web.onward import onward
from portal.web.page import page, see_other
from portal.web.places import rules_of

pages = Blueprint("contacts", __name__)

SHOWN = 50
SHOWN_THERE = 8
#: Beyond this the database has no number.
LARGEST_ID = 2**31
NAMES = (*KNOWN, "active")


@dataclass(frozen=True)
class Filters:
    """What the list is narrowed to. all: without the Active filter. email: a whole address."""

    words: str = ""
    type: str = ""
    all: bool = False
    email: str = ""
    no_address: bool = False

    @property
    def narrowed(self) -> bool:
        return bool(self.words or self.type or self.email or self.no_address)

    def as_args(self, **changed: str | None) -> dict[str, str | None]:
        """The list's address with these filters."""
        args: dict[str, str | None] = {
            "q": self.words or None,
            "type": self.type or None,
            "filters": "set" if self.all else None,
            "email": self.email or None,
            "no_address": "yes" if self.no_address else None,
        }
        return args | changed


# -- finding -------------------------------------------------------------------------------------


@pages.get("/contacts")
def index() -> ResponseReturnValue:
    """Contacts by name, narrowed by what stands in the address."""
    filters = _filters()
    found = find_contacts(
        filters.words,
        [filters.type] if filters.type else (),
        None if filters.all else True,
        filters.email,
        request.args.get("after"),
        SHOWN + 1,
        without_address=filters.no_address,
    )
    more = place_of(found[SHOWN - 1]) if len(found) > SHOWN else None
    return page(
        "contacts/index.html",
        "found",
        filters=filters,
        types=CONTACT_TYPES,
        found=found[:SHOWN],
        cautions=bounces.cautions_of(one.email for one in found[:SHOWN] if one.email),
        more=more,
        later="after" in request.args,
        hidden=0 if found or filters.all else _inactive(filters),
    )


def _filters() -> Filters:
    """An unticked Active says nothing by itself, so the form says that its filters were set."""
    args = request.args
    type_ = args.get("type", "")
    return Filters(
        words=args.get("q", "").strip(),
        type=type_ if type_ in CONTACT_TYPES else "",
        all=args.get("filters") == "set" and "active" not in args,
        email=tidied(args.get("email", "")).text.replace("\0", ""),
        no_address=args.get("no_address") == "yes",
    )


def _inactive(filters: Filters) -> int:
    """How many archived ones the same filters would find, told when nobody active is found."""
    types = [filters.type] if filters.type else ()
    found = find_contacts(
        filters.words, types, False, filters.email, without_address=filters.no_address
    )
    return len(found)


# -- one contact ---------------------------------------------------------------------------------


@pages.get("/contacts/<int:contact_id>")
def show(contact_id: int) -> ResponseReturnValue:
    """What is known of a contact, and what hangs on them."""
    return _show(_contact(contact_id))


@pages.get("/contacts/new")
def new() -> ResponseReturnValue:
    """An empty form; a document's kind brings its usual type, and takes the person back."""
    kind = KINDS.get(request.args.get("for", ""))
    usual = USUAL_FOR[kind.recipient][0] if kind else request.args.get("type", "")
    form = blank_form(usual)
    way_back = url_for("documents.new", kind=kind.slug) if kind else ""
    form.next.data = request.args.get("next", way_back)
    return _form_page(form)


@pages.post("/contacts")
def create() -> ResponseReturnValue:
    """Keep a new contact."""
    return _keep(typed_form(), None)


@pages.post("/contacts/address")
def address() -> ResponseReturnValue:
    """What is to be said of an address while its form is still being filled in. Stores nothing."""
    number = request.args.get("contact", 0, int)
    contact = db.session.get(Contact, number) if 0 < number < LARGEST_ID else None
    form = typed_form()
    holder = contact_with(form.email.data or "", contact)
    return _form_page(form, contact, holder=holder, live=True)


@pages.get("/contacts/<int:contact_id>/edit")
def edit(contact_id: int) -> ResponseReturnValue:
    """The form as the contact stands."""
    contact = _contact(contact_id)
    if contact.merged_into_id:
        return see_other(url_for(".show", contact_id=contact.id))
    form = stored_form(contact)
    form.next.data = request.args.get("next", "")
    return _form_page(form, contact)


@pages.post("/contacts/<int:contact_id>")
def update(contact_id: int) -> ResponseReturnValue:
    """Keep what is known of the contact now."""
    contact = _contact(contact_id)
    if contact.merged_into_id:
        abort(404)
    return _keep(typed_form(), contact)


@pages.post("/contacts/<int:contact_id>/archival")
def archive(contact_id: int) -> ResponseReturnValue:
    """Archive a contact, or bring it back."""
    contact = _contact(contact_id)
    active = request.form.get("active") == "yes"
    try:
        contacts.set_active(contact, active, current_user)
    except Refused as refused:
        return _show(contact, refused, 409)
    after = "is active again." if active else "is archived. No new document can be for them."
    flash(f"{contact.name} {after}", "good")
    return see_other(url_for(".show", contact_id=contact.id))


@pages.post("/contacts/<int:contact_id>/vouching")
def vouch(contact_id: int) -> ResponseReturnValue:
    """Somebody says that the address is right, though mail to it came back."""
    contact = _contact(contact_id)
    corrections.vouch(contact, current_user)
    flash(f"The next mail to {contact.name} goes without that question.", "good")
    return see_other(url_for(".show", contact_id=contact.id))


@pages.post("/contacts/<int:contact_id>/deletion")
@managers_only
def delete(contact_id: int) -> ResponseReturnValue:
    """Remove a contact that nothing needs."""
    contact = _contact(contact_id)
    try:
        contacts.delete(contact)
    except Refused as refused:
        return _show(contact, refused, 409)
    flash(f"{contact.name} is deleted.", "good")
    return see_other(url_for(".index"))


def _keep(form: ContactForm, contact: Contact | None) -> ResponseReturnValue:
    if not form.validate() or form.question(contact):
        return _form_page(form, contact, 422)
    if contact and (changed := since(form, contact, NAMES, "contact")):
        return _form_page(form, contact, 409, changed)
    try:
        kept = contacts.keep(form.known(), current_user, contact)
    except AddressTaken as taken:
        form.email.errors = [str(taken)]
        return _form_page(form, contact, 422, holder=taken.holder)
    except StaleDataError:  # somebody saved between our look and our own saving
        db.session.rollback()
        assert contact
        return _form_page(form, contact, 409, since(form, contact, NAMES, "contact"))
    flash(" ".join((f"{kept.name} is saved.", *_tidied(form))), "good")
    return see_other(_after(kept, form))


def _tidied(form: ContactForm) -> list[str]:
    """What was cleaned, and what the address is now."""
    notes = form.email.tidied.notes
    return [*notes, f"The address is {form.email.data}."] if notes else []


def _after(contact: Contact, form: ContactForm) -> str:
    """Back to where the contact was needed."""
    if not form.next.data:
        return url_for(".show", contact_id=contact.id)
    return onward(form.next.data, contact=contact.id)


# -- pages ---------------------------------------------------------------------------------------


def _form_page(
    form: ContactForm,
    contact: Contact | None = None,
    status: int = 200,
    changed: Meanwhile | None = None,
    holder: Contact | None = None,
    live: bool = False,
) -> ResponseReturnValue:
    there = url_for(".show", contact_id=contact.id) if contact else url_for(".index")
    return page(
        "contacts/form.html",
        "said" if live else None,
        status,
        form=form,
        contact=contact,
        changed=changed,
        holder=holder,
        taken=str(AddressTaken(holder)) if holder else "",
        live=live,
        question=form.question(contact) if live or status == 422 else None,
        back=on_site(form.next.data) if form.next.data else there,
    )


def _show(
    contact: Contact, refused: Refused | None = None, status: int = 200
) -> ResponseReturnValue:
    merged = contacts.merged_into(contact)
    return page(
        "contacts/show.html",
        None,
        status,
        contact=contact,
        caution=next(
            iter(bounces.cautions_of([contact.email] if contact.email else ()).values()), None
        ),
        refused=refused,
        merged=merged,
        user=user_of(contact),
        known_at=_known_at(contact),
        marks=_marks,
        waiting=_waiting(contact),
        rules=rules_of(Scope.CUSTOMER, contact),
        documents=_documents(contact),
        shown=SHOWN_THERE,
        names={one.id: one.name for one in merged},
        changes=history.of("contact", contact.id, *(one.id for one in merged)),
    )


def _known_at(contact: Contact) -> list[tuple[Property, PropertyContact | None]]:
    """Properties of this customer, and those where they are a contact, with what they receive."""
    links = select(PropertyContact).where(PropertyContact.contact_id == contact.id)
    mine = {one.property_id: one for one in db.session.scalars(links.limit(SHOWN_THERE + 1))}
    query = select(Property).where(or_(Property.customer_id == contact.id, Property.id.in_(mine)))
    some = query.order_by(Property.active.desc(), Property.name, Property.id)
    found = db.session.scalars(some.limit(SHOWN_THERE + 1)).unique()
    return [(one, mine.get(one.id)) for one in found]


def _marks(link: PropertyContact | None) -> list[str]:
    """What a property's contact is sent: "Email Invoice"."""
    return [mark for kind, mark in MARKS.items() if link and link.receives(kind)]


def _waiting(contact: Contact) -> list[Property]:
    """Where they are ticked to receive something, while nothing can be sent to them."""
    if contact.active and contact.email:
        return []
    ticked = or_(*(getattr(PropertyContact, f"email_{kind}") for kind in KINDS))
    mine = select(PropertyContact.property_id).where(
        PropertyContact.contact_id == contact.id, ticked
    )
    query = select(Property).where(Property.active, Property.id.in_(mine)).order_by(Property.name)
    return list(db.session.scalars(query.limit(SHOWN_THERE + 1)).unique())


def _documents(contact: Contact) -> list[Document]:
    """The newest documents for this contact; one more than is shown, when there are more."""
    query = select(Document).where(Document.contact_id == contact.id)
    newest = query.order_by(Document.issued.desc(), Document.id.desc()).limit(SHOWN_THERE + 1)
    return list(db.session.scalars(newest).unique())


def _contact(contact_id: int) -> Contact:
    return db.session.get(Contact, contact_id) or abort(404)
