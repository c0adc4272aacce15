"""Pages of contacts: the customers and suppliers that documents are for."""

from flask import Blueprint, abort, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm
from wtforms import BooleanField, HiddenField, RadioField, TextAreaField
from wtforms.validators import DataRequired

from portal.documents.kinds import KINDS
from portal.extensions import db
from portal.people import Contact, contact_with, search_contacts
from portal.web.fields import AddressField, Line, Most, printable, stripped
from portal.web.guard import on_site
from portal.web.page import page, see_other

pages = Blueprint("contacts", __name__)

ROLES = {"customer": "Customer", "supplier": "Supplier"}
SHOWN = 200


class ContactForm(FlaskForm):  # type: ignore[misc]
    """What is known of a contact."""

    next = HiddenField()
    role = RadioField("They are a", choices=ROLES, default="customer")
    name = Line("Name", [DataRequired("Write a name.")], most=120)
    attention = Line("Attention", most=120)
    email = AddressField("E-mail", empty="")
    shared = BooleanField("They share this address")
    phone = Line("Phone", most=60)
    address = TextAreaField("Address", [printable, Most(500)], filters=[stripped])


@pages.get("/contacts")
def index() -> ResponseReturnValue:
    """Everybody, by name."""
    words, role = request.args.get("q", ""), request.args.get("role", "")
    role = role if role in ROLES else ""
    found = search_contacts(words, role, limit=SHOWN)
    return page("contacts/index.html", "found", words=words, role=role, found=found, most=SHOWN)


@pages.get("/contacts/new")
def new() -> ResponseReturnValue:
    """An empty form; a document's kind brings its usual role, and takes the person back."""
    kind = KINDS.get(request.args.get("for", ""))
    form = ContactForm(None, role=kind.recipient if kind else "customer")
    form.next.data = url_for("documents.new", kind=kind.slug) if kind else ""
    return _form_page(form)


@pages.post("/contacts")
def create() -> ResponseReturnValue:
    """Keep a new contact."""
    form = ContactForm()
    if not form.validate() or not _unshared(form, None):
        return _form_page(form, status=422)
    contact = Contact()
    db.session.add(contact)
    _keep(contact, form)
    return see_other(_after(contact, form))


@pages.get("/contacts/<int:contact_id>/edit")
def edit(contact_id: int) -> ResponseReturnValue:
    """The form as the contact stands."""
    contact = _contact(contact_id)
    form = ContactForm(None, obj=contact)
    form.next.data = request.args.get("next", "")
    return _form_page(form, contact)


@pages.post("/contacts/<int:contact_id>")
def update(contact_id: int) -> ResponseReturnValue:
    """Keep what is known of the contact now."""
    contact = _contact(contact_id)
    form = ContactForm()
    if not form.validate() or not _unshared(form, contact):
        return _form_page(form, contact, 422)
    _keep(contact, form)
    return see_other(_after(contact, form))


def _unshared(form: ContactForm, contact: Contact | None) -> bool:
    """Nobody else has the address, or somebody has said that they share it."""
    holder = contact_with(form.email.data or "", contact)
    if holder is None or form.shared.data:
        return True
    form.email.errors = [f"{form.email.data} already belongs to {holder.name}."]
    return False


def _keep(contact: Contact, form: ContactForm) -> None:
    contact.type, contact.business = form.role.data, form.name.data
    for name in ("email", "phone", "address"):
        setattr(contact, name, form[name].data or "")
    db.session.commit()
    flash(f"{contact.name} is saved.", "good")


def _after(contact: Contact, form: ContactForm) -> str:
    """Back to where the contact was needed."""
    if not form.next.data:
        return url_for("contacts.index")
    back = on_site(form.next.data)
    fresh = back in {url_for("documents.new", kind=kind) for kind in KINDS}
    return f"{back}?contact={contact.id}" if fresh else back


def _form_page(
    form: ContactForm, contact: Contact | None = None, status: int = 200
) -> ResponseReturnValue:
    taken = any("already belongs" in str(error) for error in form.email.errors)
    back = on_site(form.next.data) if form.next.data else url_for("contacts.index")
    return page(
        "contacts/form.html", None, status, form=form, contact=contact, taken=taken, back=back
    )


def _contact(contact_id: int) -> Contact:
    return db.session.get(Contact, contact_id) or abort(404)
