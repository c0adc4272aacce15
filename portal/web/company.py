"""Company details: the letterhead of every paper and mail, and the logo on it."""

import re
from functools import cache
from zoneinfo import available_timezones

from babel.core import get_global
from babel.numbers import get_currency_name
from flask import Blueprint, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from wtforms import ColorField, Field, SelectField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length, Regexp, ValidationError

from portal.documents import colour
from portal.documents.logo import LARGEST, TYPE, LogoProblem, redrawn
from portal.extensions import db
from portal.people import BadAddress, Company, clean_address
from portal.people import company as the_company
from portal.web.guard import managers_only
from portal.web.page import page, see_other

pages = Blueprint("company", __name__)

COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
WEBSITE = re.compile(r"(https?://)?[\w-]+(\.[\w-]+)+(:\d+)?(/\S*)?", re.IGNORECASE)
BREAK = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]")
#: What the paper and the page are drawn on, and what is written on a filled button.
USUAL_CURRENCIES = ("AUD", "NZD", "GBP", "EUR", "USD", "CAD")


def one_line(_form: FlaskForm, field: Field) -> None:
    """Names and numbers end up in headers, where a line break would begin another header."""
    if BREAK.search(field.data or ""):
        raise ValidationError("This has a line break in it. Write it on one line.")


def _line(label: str, hint: str = "", most: int = 120, needed: str = "") -> StringField:
    rules = [Length(max=most, message=f"Write at most {most} characters."), one_line]
    if needed:
        rules.insert(0, InputRequired(needed))
    return StringField(label, rules, description=hint, filters=[_stripped])


def _lines(label: str, hint: str) -> TextAreaField:
    rules = [Length(max=600, message="Write at most 600 characters.")]
    return TextAreaField(label, rules, description=hint, filters=[_stripped])


def _stripped(typed: str | None) -> str:
    return (typed or "").strip()


class CompanyForm(FlaskForm):  # type: ignore[misc]
    """What stands on the letterhead."""

    name = _line(
        "Name",
        "As customers know you. It stands beside the address on every mail.",
        needed="Write the company's name.",
    )
    legal_name = _line("Registered name", "Printed small, where the law asks for it.")
    tax_label = _line("Kind of tax number (ABN, VAT …)", most=30)
    tax_number = _line("Tax number", most=40)
    address = _lines("Address", "One line for each line on the paper.")
    phone = _line("Phone", most=40)
    email = _line("E-mail shown on papers", "Customers may write to it; mail is not sent from it.")
    website = _line("Website")
    bank = _lines("How to pay you", "Bank lines as they stand on invoices.")
    footer = _line("Last line of every paper", "A licence number, for example.", most=200)
    accent = ColorField(
        "Colour", [Regexp(COLOUR, message="Write a colour such as #0b5c7a.")], default="#0b5c7a"
    )
    time_zone = SelectField("Time zone", validate_choice=True)
    currency = SelectField("Currency of new documents", validate_choice=True)
    logo = FileField("Picture", description="PNG or JPEG, 1 MB at most. Wide ones look best.")

    def validate_email(self, field: Field) -> None:
        if field.data:
            try:
                field.data = clean_address(field.data)
            except BadAddress as problem:
                raise ValidationError(str(problem)) from None

    def validate_website(self, field: Field) -> None:
        if field.data and not WEBSITE.fullmatch(field.data):
            raise ValidationError("Write a web address such as brightspark.example.")


@pages.get("/settings/company")
@managers_only
def edit() -> ResponseReturnValue:
    """The details as they are; a colour in the address is only judged, never stored."""
    found = the_company()
    return _page(_form(found), accent=request.args.get("accent", found.accent))


@pages.post("/settings/company")
@managers_only
def update() -> ResponseReturnValue:
    """Store the details and, if one was chosen, the logo: all of it, or nothing."""
    found = the_company()
    form = _form(found)
    form.validate()
    drawn = _picture(form)
    if form.errors:
        if drawn:
            form.logo.errors = ["Choose the picture again: no browser keeps it."]
        return _page(form, status=422, accent=form.accent.data or found.accent)
    for field in form:
        if field.name not in ("csrf_token", "logo"):
            setattr(found, field.name, field.data)
    if drawn:
        found.logo, found.logo_type = drawn, TYPE
    db.session.commit()
    what = "details and logo" if drawn else "details"
    flash(f"The company's {what} are saved. New papers and mails bear them.", "good")
    return see_other(url_for(".edit"))


def _picture(form: CompanyForm) -> bytes | None:
    """The logo that was chosen, drawn anew; what is wrong with it stands beside its field."""
    sent = request.files.get("logo")
    try:
        if sent and sent.filename:
            return redrawn(sent.stream.read(LARGEST + 1))
        if "picture" in request.form:
            raise LogoProblem("Choose a picture first.")
    except LogoProblem as problem:
        form.logo.errors = [str(problem)]
    return None


@pages.post("/settings/company/logo/removal")
@managers_only
def remove_logo() -> ResponseReturnValue:
    """Go back to the name alone."""
    found = the_company()
    found.logo, found.logo_type = None, ""
    db.session.commit()
    flash("The logo is removed. Papers bear the company's name.", "info")
    return see_other(url_for(".edit"))


def _form(found: Company) -> CompanyForm:
    form = CompanyForm(obj=found)
    form.time_zone.choices = _zones()
    form.currency.choices = _currencies()
    return form


def _page(form: CompanyForm, status: int = 200, accent: str = "") -> ResponseReturnValue:
    accent = accent if COLOUR.fullmatch(accent) else the_company().accent
    return page(
        "settings/company.html",
        "contrast",
        status,
        form=form,
        readable=colour.contrast(accent, colour.WHITE) >= colour.READABLE,
        shade=colour.readable(accent),
    )


@cache
def _zones() -> list[tuple[str, str]]:
    named = sorted(one for one in available_timezones() if "/" in one and one[:4] != "Etc/")
    return [("UTC", "UTC"), *((one, one.replace("_", " ")) for one in named)]


@cache
def _currencies() -> list[tuple[str, str]]:
    """Currencies that somebody pays with today, ours first."""
    used = {
        code
        for uses in get_global("territory_currencies").values()
        for code, _start, end, tender in uses
        if end is None and tender
    }
    ordered = [*USUAL_CURRENCIES, *sorted(used - set(USUAL_CURRENCIES))]
    return [(code, f"{code} – {get_currency_name(code, locale='en')}") for code in ordered]
