"""The form a document is written on, whatever its kind."""

import datetime as dt
import re
from decimal import Decimal
from functools import cache
from itertools import zip_longest
from typing import Any

from flask import request
from werkzeug.datastructures import MultiDict
from wtforms import (
    FieldList,
    FormField,
    HiddenField,
    SelectField,
    StringField,
    TextAreaField,
    ValidationError,
)
from wtforms.validators import DataRequired

from portal import places
from portal.documents import MOST_LINES, Document, Draft
from portal.documents.facts import LineFacts, plain_number
from portal.documents.kinds import Kind
from portal.extensions import db
from portal.people import Contact
from portal.places import Property
from portal.web import lines, party
from portal.web.fields import DayField, Line, Most, printable, stripped
from portal.web.meanwhile import NOTHING, Difference, Meanwhile, Versioned, differences

#: Far beyond any trade's invoice, and far within what the database counts exactly.
LARGEST_TOTAL = Decimal(1_000_000_000)
LONGEST_WORDS = 200
_NUMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]*", re.ASCII)


def _id(typed: Any) -> int:
    return int(typed) if str(typed).isdecimal() and len(str(typed)) < 10 else 0


class Chosen(HiddenField):  # type: ignore[misc]
    """The number of a record that was chosen; 0 for none."""

    data: int

    def process_data(self, value: Any) -> None:
        self.data = _id(value)

    def process_formdata(self, valuelist: list[str]) -> None:
        self.data = _id(valuelist[0]) if valuelist else 0


class PaperForm(Versioned):
    """Number, party, dates and notes. The lines of a kind are added by form_for()."""

    kind: Kind
    document: Document | None = None

    number = Line("Number", [DataRequired("Write a number.")], most=40)
    contact_id = Chosen("For")
    contact_words = StringField()
    contact_was = Chosen()
    property_id = Chosen("Property")
    property_words = StringField()
    site_of = Chosen()
    branch_id = SelectField("Branch", coerce=_id, validate_choice=False)
    title = Line("Title", most=200)
    site = TextAreaField("Site", [printable, Most(500)], filters=[stripped])
    reference = Line("Reference", most=100)
    issued = DayField("Date", required="Write the date.")
    due = DayField("Due")
    notes = TextAreaField("Notes", [printable, Most(5000)], filters=[stripped])

    def validate_number(self, field: Any) -> None:
        if not _NUMBER.fullmatch(field.data):
            raise ValidationError(
                "A number may hold letters, digits, spaces, dots and dashes,"
                " and begins with a letter or a digit."
            )

    def validate_contact_id(self, field: Any) -> None:
        kept = self.document.contact_id if self.document else 0
        if wrong := party.what_is_wrong_with_contact(field.data, kept):
            raise ValidationError(wrong)

    def validate_property_id(self, field: Any) -> None:
        kept = (self.document.property_id if self.document else 0) or 0
        found = (field.data, self.contact_id.data, self.kind, kept)
        if field.data and (wrong := party.what_is_wrong_with_property(*found)):
            raise ValidationError(wrong)

    def validate_branch_id(self, field: Any) -> None:
        known = {one.id for one in places.branches()}
        if self.document is not None:
            known.add(self.document.branch_id or 0)
        if field.data and field.data not in known:
            raise ValidationError("Choose a branch from the list.")

    def validate_due(self, field: Any) -> None:
        if field.data and self.issued.data and field.data < self.issued.data:
            raise ValidationError(f"“{field.label.text}” is before the date of this document.")

    def validate_lines(self, field: Any) -> None:
        if len(field.entries) > MOST_LINES:
            raise ValidationError(
                f"These are {len(field.entries)} lines; the most is {MOST_LINES}."
            )
        if any(entry.form.errors for entry in field.entries):
            return
        written = [entry.form.facts() for entry in field.entries]
        if abs(sum((one.net + one.tax for one in written), Decimal(0))) > LARGEST_TOTAL:
            raise ValidationError("Together these lines come to more than an invoice can hold.")

    def draft(self, kind: str) -> Draft:
        """What was written, ready to be kept."""
        return Draft(
            kind=kind,
            number=self.number.data or "",
            title=self.title.data or "",
            contact_id=self.contact_id.data,
            site=self.site.data or "",
            reference=self.reference.data or "",
            issued=self.issued.data,
            due=self.due.data if "due" in self else None,
            notes=self.notes.data or "",
            lines=tuple(entry.form.facts() for entry in self.lines),
            property_id=self.property_id.data or None,
            branch_id=self.branch_id.data or None,
        )

    def wanted(self) -> party.Wanted:
        """Whom and where it is for, as the form has it."""
        return party.Wanted(
            contact_id=self.contact_id.data,
            property_id=self.property_id.data,
            contact_words=(self.contact_words.data or "")[:LONGEST_WORDS],
            property_words=(self.property_words.data or "")[:LONGEST_WORDS],
            site=self.site.data or "",
            contact_was=self.contact_was.data,
            site_of=self.site_of.data,
        )

    def settle(self, pressed: party.Pressed) -> None:
        """Let what belongs together be together again: property with customer, site with both."""
        found = party.settled(self.wanted(), self.kind, pressed)
        for name in ("contact_id", "property_id", "site"):
            self[name].data = getattr(found, name)
        self.contact_was.data, self.site_of.data = found.contact_id, found.property_id

    def offers(self, pressed: party.Pressed) -> party.Party:
        """What to show of whom and where it is for."""
        return party.shown(self.wanted(), self.kind, pressed, self.branch_id.data or 0)


def form_for(
    kind: Kind,
    typed: "MultiDict[str, str] | None" = None,
    document: Document | None = None,
    **data: Any,
) -> PaperForm:
    """The kind's form, filled from what was typed, from the document as it stands, or from data."""
    stored = document if typed is None else None
    form: PaperForm = _form_class(kind)(typed, obj=stored, **data)
    form.kind, form.document = kind, document
    form.contact_id.label.text = kind.party_label
    form.site.label.text = kind.site_label
    if kind.due_label:
        form.due.label.text = kind.due_label
    else:
        del form.due
    return form


def typed_form(kind: Kind, document: Document | None = None) -> PaperForm:
    """The form as it was submitted, without the rows nobody wrote in."""
    written = [row for row in lines.rows_in(request.form) if not row.blank]
    return form_for(kind, lines.renumbered(request.form, written), document)


def rearranged_form(kind: Kind, document: Document | None = None) -> PaperForm:
    """The form as it was submitted, with a row more or less, or somebody chosen. Judges nothing."""
    rows = lines.rows_in(request.form)
    if "drop" in request.form:
        rows = [row for row in rows if str(row.number) != request.form["drop"]]
    form = form_for(kind, lines.renumbered(request.form, rows), document)
    if "add" in request.form or not rows:
        form.lines.append_entry(lines.fresh(kind))
    form.settle(pressed())
    return form


def pressed() -> party.Pressed:
    """What of the party was pressed; Enter in a search looks for what was written there."""
    find = request.form.get("find", "")
    if "enter" in request.form:
        find = next((one for one in ("contact", "property") if _written(one)), "")
    change = request.form.get("change") or request.form.get("find_only", "")
    part, _, number = request.form.get("take", "").partition(":")
    return party.Pressed(find, change, (part, _id(number)))


def _written(part: str) -> str:
    return request.form.get(f"{part}_words", "").strip()


def blank_form(
    kind: Kind, number: str, today: dt.date, contact_id: int = 0, property_id: int = 0
) -> PaperForm:
    """A new document's form: its number, today, a first row, and for whom it is, if that is known.

    contact_id, property_id: 0 where they are not; a property brings its customer.
    """
    form = form_for(kind, number=number, issued=today, lines=[lines.fresh(kind)])
    return _brought(form, contact_id, property_id)


def _brought(form: PaperForm, contact_id: int, property_id: int) -> PaperForm:
    """The form for this contact and property, where there are such: a property brings its customer.

    A supplier is no property's customer, and stays.
    """
    where = db.session.get(Property, property_id) if property_id else None
    if where is not None and form.kind.recipient != "supplier":
        contact_id = where.customer_id
    form.contact_id.data = contact_id or form.contact_id.data
    form.property_id.data = property_id or form.property_id.data
    form.settle(party.Pressed())
    return form


def stored_form(document: Document, contact_id: int = 0, property_id: int = 0) -> PaperForm:
    """The form as the document stands; contact_id, property_id: who and where instead, else 0."""
    form = form_for(document.kind_facts, document=document)
    form.contact_was.data, form.site_of.data = document.contact_id, document.property_id or 0
    if not document.lines:
        form.lines.append_entry(lines.fresh(document.kind_facts))
    return _brought(form, contact_id, property_id) if contact_id or property_id else form


@cache
def _form_class(kind: Kind) -> type[PaperForm]:
    class KindForm(PaperForm):
        lines = FieldList(FormField(lines.line_form(kind)), "Lines")

    return KindForm


# -- two people at one document ------------------------------------------------------------------

COMPARED = ("number", "title", "site", "reference", "issued", "due", "notes")


def changed_since(form: PaperForm, document: Document) -> Meanwhile | None:
    """What somebody stored since this form was filled, where it differs from what is written."""
    if form.version.data == str(document.version):
        return None
    found = differences(form, document, tuple(name for name in COMPARED if name in form))
    found = [*_party_differences(form, document), *found, *_line_differences(form, document)]
    who = document.changed_by.name if document.changed_by else ""
    return Meanwhile(found, who, document.changed_at) if found else None


def _party_differences(form: PaperForm, document: Document) -> list[Difference]:
    contact = db.session.get(Contact, form.contact_id.data)
    where = db.session.get(Property, form.property_id.data)
    pairs = (
        (form.contact_id, document.contact, contact),
        (form.property_id, document.property_, where),
    )
    return [
        Difference(field.label.text, now.name if now else NOTHING, yours.name if yours else NOTHING)
        for field, now, yours in pairs
        if now is not yours
    ]


def _line_differences(form: PaperForm, document: Document) -> list[Difference]:
    if any(entry.form.errors for entry in form.lines):
        return []  # what cannot be read yet is compared once it can
    stored = [_told(one.facts()) for one in document.lines]
    written = [_told(entry.form.facts()) for entry in form.lines]
    pairs = enumerate(zip_longest(stored, written, fillvalue=NOTHING), 1)
    return [Difference(f"Line {n}", now, yours) for n, (now, yours) in pairs if now != yours]


def _told(one: LineFacts) -> str:
    amount = f"{plain_number(one.quantity)} {one.unit}".strip()
    return f"{amount} × {one.description}, {plain_number(one.unit_price)}"
