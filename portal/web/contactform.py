"""The form of a contact: what is known of somebody, and an address read as it was meant."""

from flask import request
from werkzeug.datastructures import ImmutableMultiDict, MultiDict
from wtforms import (
    BooleanField,
    Field,
    HiddenField,
    RadioField,
    SelectChoice,
    TextAreaField,
    ValidationError,
)

from portal.contacts import KNOWN
from portal.people import CONTACT_TYPES, Contact, ContactType, clean_address
from portal.spelling import Doubt, Tidied, doubt, tidied
from portal.web.fields import AddressField, Line, Most, printable, stripped
from portal.web.meanwhile import Versioned

TYPES = [SelectChoice(value, label) for value, label in CONTACT_TYPES.items()]


class MeantField(AddressField):
    """One e-mail address, or none: without what cannot be meant, and with a question in doubt."""

    tidied = Tidied("")
    doubt: Doubt | None = None

    def read(self, typed: str) -> str:
        self.tidied = tidied(typed)
        self.doubt = doubt(self.tidied.text)
        return clean_address(self.tidied.text) if self.tidied.text else ""


class ContactForm(Versioned):
    """What is known of a contact."""

    next = HiddenField()
    type = RadioField("They are a", choices=TYPES)
    business = Line("Business", most=120)
    first_name = Line("First name", most=80)
    last_name = Line("Last name", most=80)
    email = MeantField("E-mail", empty="")
    phone = Line("Phone", most=60)
    address = TextAreaField("Address", [printable, Most(500)], filters=[stripped])
    notes = TextAreaField("Notes", [printable, Most(5000)], filters=[stripped])
    active = BooleanField("Active")

    def validate_business(self, field: Field) -> None:
        if not (field.data or self.first_name.data or self.last_name.data):
            raise ValidationError("Write a business, or a first or last name.")

    def known(self) -> dict[str, str | bool]:
        """What was written, ready to be kept."""
        return {
            "active": bool(self.active.data),
            **{name: self[name].data or "" for name in KNOWN},
        }

    def question(self, contact: Contact | None) -> Doubt | None:
        """What to ask before this is kept: not of an address that somebody answered for already."""
        answered = {request.form.get("kept"), contact.email if contact else None}
        written = {self.email.data, self.email.tidied.text}
        return None if written & answered else self.email.doubt


def typed_form() -> ContactForm:
    """The form as it was submitted; with "use the other address", the other address is in it."""
    typed: ImmutableMultiDict[str, str] = request.form
    asked = doubt(tidied(typed.get("email", "")).text)
    if asked and typed.get("meant") == asked.meant:
        changed = MultiDict(typed)
        changed["email"] = asked.meant
        return ContactForm(changed)
    return ContactForm(typed)


def stored_form(contact: Contact) -> ContactForm:
    """The form as the contact stands."""
    return ContactForm(None, obj=contact)


def blank_form(type_: str) -> ContactForm:
    """A new contact's form."""
    known = type_ if type_ in set(ContactType) else ContactType.CUSTOMER
    return ContactForm(None, type=known, active=True)
