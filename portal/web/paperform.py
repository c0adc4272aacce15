"""The form a document is written on, whatever its kind."""

import datetime as dt
import re
from decimal import Decimal
from functools import cache
from typing import Any

from flask import request
from flask_wtf import FlaskForm
from werkzeug.datastructures import MultiDict
from wtforms import (
    FieldList,
    FormField,
    HiddenField,
    SelectChoice,
    SelectField,
    TextAreaField,
    ValidationError,
)
from wtforms.validators import DataRequired

from portal.documents import MOST_LINES, Document, Draft
from portal.documents.kinds import Kind
from portal.people import Contact, search_contacts
from portal.web import lines
from portal.web.fields import DayField, Line, Most, printable, stripped

#: Far beyond any trade's invoice, and far within what the database counts exactly.
LARGEST_TOTAL = Decimal(1_000_000_000)
MOST_CONTACTS = 5000
_NUMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]*", re.ASCII)


def _id(typed: Any) -> int:
    return int(typed) if str(typed).isdecimal() and len(str(typed)) < 10 else 0


class PaperForm(FlaskForm):  # type: ignore[misc]
    """Number, party, dates and notes. The lines of a kind are added by form_for()."""

    version = HiddenField()
    number = Line("Number", [DataRequired("Write a number.")], most=40)
    contact_id = SelectField("For", coerce=_id, validate_choice=False)
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
        if field.data not in {one.value for one in field.choices} - {0}:
            raise ValidationError("Choose who this is for.")

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
        )


def form_for(kind: Kind, typed: "MultiDict[str, str] | None" = None, **data: Any) -> PaperForm:
    """The kind's form, filled from what was typed or from data."""
    form: PaperForm = _form_class(kind)(typed, **data)
    form.contact_id.choices = _choices(kind)
    form.contact_id.label.text = kind.party_label
    form.site.label.text = kind.site_label
    if kind.due_label:
        form.due.label.text = kind.due_label
    else:
        del form.due
    return form


def typed_form(kind: Kind) -> PaperForm:
    """The form as it was submitted, without the rows nobody wrote in."""
    written = [row for row in lines.rows_in(request.form) if not row.blank]
    return form_for(kind, lines.renumbered(request.form, written))


def rearranged_form(kind: Kind) -> PaperForm:
    """The form as it was submitted, with a row more or a row less. Nothing is judged."""
    rows = lines.rows_in(request.form)
    if "drop" in request.form:
        rows = [row for row in rows if str(row.number) != request.form["drop"]]
    form = form_for(kind, lines.renumbered(request.form, rows))
    if "add" in request.form or not rows:
        form.lines.append_entry(lines.fresh(kind))
    return form


def blank_form(kind: Kind, number: str, today: dt.date, contact_id: int | None) -> PaperForm:
    """A new document's form: its number, today, and a first row."""
    data: dict[str, Any] = {"number": number, "issued": today, "contact_id": contact_id}
    return form_for(kind, None, **data, lines=[lines.fresh(kind)])


def stored_form(document: Document) -> PaperForm:
    """The form as the document stands."""
    form = form_for(document.kind_facts, obj=document)
    if not document.lines:
        form.lines.append_entry(lines.fresh(document.kind_facts))
    return form


@cache
def _form_class(kind: Kind) -> type[PaperForm]:
    class KindForm(PaperForm):
        lines = FieldList(FormField(lines.line_form(kind)), "Lines")

    return KindForm


def _choices(kind: Kind) -> list[SelectChoice]:
    """Every contact, those that this kind is usually for first."""
    usual, others = kind.recipient, "customer" if kind.recipient == "supplier" else "supplier"
    found = [SelectChoice(0, f"Choose a {usual}…")]
    for role in (usual, others):
        group = f"{role.capitalize()}s"
        contacts = search_contacts(role=role, limit=MOST_CONTACTS)
        found += [SelectChoice(one.id, _shown(one), optgroup=group) for one in contacts]
    return found


def _shown(contact: Contact) -> str:
    return f"{contact.name} ({contact.attention})" if contact.attention else contact.name
