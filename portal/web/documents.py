"""Pages of documents: their lists, the form they are written on, and the paper itself."""

import datetime as dt
from decimal import Decimal
from zoneinfo import ZoneInfo

from babel.dates import format_date
from flask import Blueprint, Response, abort, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf import FlaskForm
from markupsafe import Markup
from sqlalchemy.exc import IntegrityError
from wtforms import MultipleFileField

from portal import bounces, dispatch, inquiry
from portal.batches import Batch
from portal.columns import now
from portal.documents import Document, NumberTaken, company_facts, keep, next_number
from portal.documents.facts import LOCALE, plain_number
from portal.documents.files import megabytes
from portal.documents.kinds import KINDS, Kind
from portal.documents.pdf import DrawingProblem, draw, first_page
from portal.documents.status import explain
from portal.extensions import db
from portal.web import lines
from portal.web.context import company
from portal.web.errors import error_page
from portal.web.meanwhile import Meanwhile
from portal.web.page import page, see_other
from portal.web.paperform import (
    PaperForm,
    blank_form,
    changed_since,
    pressed,
    rearranged_form,
    stored_form,
    typed_form,
)

pages = Blueprint("documents", __name__)

#: A PDF is shown by the browser's own viewer, inside our page and nowhere else.
PDF_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"
LONGEST_STORY = 40
#: Beyond this the database has no number.
LARGEST_ID = 2**31
#: Buttons of the form that change the form alone.
REARRANGING = {"add", "drop"}


pages.add_app_template_filter(megabytes)


@pages.app_template_filter()
def plain(number: Decimal) -> str:
    """10 rather than 10.00."""
    return plain_number(number)


@pages.app_template_filter()
def day(date: dt.date) -> str:
    """7 Dec, and its year where that is another."""
    pattern = "d MMM" if date.year == today().year else "d MMM y"
    return format_date(date, pattern, locale=LOCALE)


@pages.app_template_filter()
def lower_first(words: str) -> str:
    """A label inside a sentence: "on hold"."""
    return words[:1].lower() + words[1:]


@pages.app_template_filter()
def unbroken(number: str) -> Markup:
    """A number that stays on one line in a heading."""
    return Markup('<span class="num">{}</span>').format(number)


class FilesForm(FlaskForm):  # type: ignore[misc]
    """Choosing photos and papers to attach."""

    files = MultipleFileField("Add photos or files")


@pages.get("/documents/<kind>/new")
def new(kind: str) -> ResponseReturnValue:
    """An empty form, its number already chosen."""
    facts = kind_or_404(kind)
    return _form_page(facts, blank_form(facts, next_number(kind), today(), *_brought()))


@pages.post("/documents/<kind>")
def create(kind: str) -> ResponseReturnValue:
    """Keep a new document."""
    return _write(kind_or_404(kind), None)


@pages.post("/documents/<kind>/party")
def find_party(kind: str) -> ResponseReturnValue:
    """Who is found, or was chosen, on a new document's form. Stores nothing."""
    facts = kind_or_404(kind)
    return _form_page(facts, rearranged_form(facts))


@pages.post("/documents/<int:document_id>/party")
def change_party(document_id: int) -> ResponseReturnValue:
    """The same on the form of a document there is. Stores nothing."""
    document = document_or_404(document_id)
    return _form_page(document.kind_facts, rearranged_form(document.kind_facts, document), document)


@pages.get("/documents/<int:document_id>/edit")
def edit(document_id: int) -> ResponseReturnValue:
    """The form as the document stands, for whom and where its address says."""
    document = document_or_404(document_id)
    return _form_page(document.kind_facts, stored_form(document, *_brought()), document)


def _brought() -> tuple[int, int]:
    """The contact and the property in the address, 0 for none."""
    contact, where = (request.args.get(name, 0, type=int) for name in ("contact", "property"))
    return (contact, where) if max(contact, where) < LARGEST_ID else (0, 0)


@pages.post("/documents/<int:document_id>")
def update(document_id: int) -> ResponseReturnValue:
    """Keep the document as it is now written."""
    document = _locked(document_id)
    return _write(document.kind_facts, document)


@pages.post("/documents/<kind>/totals")
def totals(kind: str) -> ResponseReturnValue:
    """What the lines on the form come to. Asked for while somebody types; stores nothing."""
    facts = kind_or_404(kind)
    us = company()
    rows = lines.rows_in(request.form)
    added = lines.added_up(rows, facts, company_facts(us), us.currency)
    nets = {row.number: added.nets.get(row.number, "") for row in rows}
    return page("documents/totals.html", "answer", added=added, nets=nets)


@pages.get("/documents/<int:document_id>")
def show(document_id: int) -> ResponseReturnValue:
    """The paper, its facts and what became of it."""
    return show_page(document_or_404(document_id), FilesForm())


@pages.get("/documents/<int:document_id>/paper.pdf")
def paper(document_id: int) -> ResponseReturnValue:
    """The document as it would be sent now."""
    document = document_or_404(document_id)
    try:
        drawn = draw(document.facts())
    except DrawingProblem as problem:
        return error_page(400, str(problem))
    return pdf_answer(drawn, f"{document.number}.pdf")


@pages.get("/documents/<int:document_id>/paper.png")
def picture(document_id: int) -> ResponseReturnValue:
    """The document's first page as a picture, for screens that show no PDF."""
    try:
        drawn = first_page(document_or_404(document_id).facts())
    except DrawingProblem:  # the PDF beside it says what is wrong
        abort(404)
    return Response(drawn, mimetype="image/png")


def show_page(document: Document, files: FilesForm, status: int = 200) -> ResponseReturnValue:
    sendings = dispatch.of_document(document)
    real = [one for one in sendings if not one.is_test]
    return page(
        "documents/show.html",
        None,
        status,
        document=document,
        facts=document.facts(),
        sendings=sendings,
        came_in=bounces.of_document(document.id) if sendings else [],
        latest=real[0] if real else None,
        mailed=explain(document.batch_status, document.email_status),
        receivers=document.recipients(),
        batch=db.session.get(Batch, document.batch_id) if document.batch_id else None,
        story=inquiry.story(document, sendings, LONGEST_STORY),
        files=files,
    )


def pdf_answer(drawn: bytes, name: str) -> Response:
    """A PDF to look at, or with ?download to keep."""
    answer = Response(drawn, mimetype="application/pdf")
    how = "attachment" if "download" in request.args else "inline"
    answer.headers.set("Content-Disposition", how, filename=name)
    answer.headers["Content-Security-Policy"] = PDF_POLICY
    return answer


def kind_or_404(slug: str) -> Kind:
    return KINDS.get(slug) or abort(404)


def document_or_404(document_id: int) -> Document:
    return db.session.get(Document, document_id) or abort(404)


def _locked(document_id: int) -> Document:
    """The document, which nobody else can change until this is stored."""
    lock = {"of": Document}
    found = db.session.get(Document, document_id, with_for_update=lock, populate_existing=True)
    return found or abort(404)


def today() -> dt.date:
    """The day it is where the company is."""
    return now().astimezone(ZoneInfo(company().time_zone)).date()


def _write(kind: Kind, document: Document | None) -> ResponseReturnValue:
    if REARRANGING & request.form.keys() or pressed().part:
        return _form_page(kind, rearranged_form(kind, document), document)
    form = typed_form(kind, document)
    valid = form.validate()
    meanwhile = changed_since(form, document) if document is not None else None
    fine = valid and meanwhile is None
    kept = _kept(kind, form, document) if fine else None
    if kept is None:
        return _form_page(kind, form, document, status=422, meanwhile=meanwhile)
    flash(f"{kept.number} is saved.", "good")
    return see_other(url_for("documents.show", document_id=kept.id))


def _kept(kind: Kind, form: PaperForm, document: Document | None) -> Document | None:
    """The document as it is stored now; None where it was not, and the form says why."""
    try:
        kept = keep(form.draft(kind.slug), current_user, document)
        db.session.commit()
    except NumberTaken as problem:
        db.session.rollback()
        form.number.errors = [str(problem)]
    except IntegrityError:  # somebody took the number between our look and our write
        db.session.rollback()
        form.number.errors = [f"{form.number.data} was taken a moment ago. Choose another."]
    else:
        return kept
    return None


def _form_page(
    kind: Kind,
    form: PaperForm,
    document: Document | None = None,
    status: int = 200,
    meanwhile: Meanwhile | None = None,
) -> ResponseReturnValue:
    if not form.lines.entries:
        form.lines.append_entry(lines.fresh(kind))
    if document is not None and meanwhile:
        form.version.process(None, document.version)
        form.version.raw_data = None
    return page(
        "documents/form.html",
        "party",
        status,
        kind=kind,
        form=form,
        document=document,
        meanwhile=meanwhile,
        given={
            "contact": "contact" in request.args
            or ("property" in request.args and kind.recipient != "supplier"),
            "property": "property" in request.args,
        },
        party=form.offers(pressed()),
        added=_added(form, kind),
        pattern=lines.pattern(kind),
    )


def _added(form: PaperForm, kind: Kind) -> lines.Sum:
    """The sums under the lines as the page first shows them."""
    us = company()
    return lines.added_up(lines.rows_of(form.lines), kind, company_facts(us), us.currency)
