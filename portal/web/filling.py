"""Filling: choosing which documents go into a batch, by what they are or by ticking them."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from babel.dates import format_date
from flask import abort, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm
from sqlalchemy import Select, select
from werkzeug.datastructures import MultiDict

from portal import places
from portal.batches import Batch
from portal.batches.looking import foresee, offered
from portal.documents import Document, listing
from portal.documents.facts import LOCALE
from portal.documents.kinds import KINDS, Kind
from portal.documents.listing import Filters
from portal.documents.status import EMAIL_STATUSES, EmailStatus
from portal.extensions import db
from portal.people import Contact
from portal.places import Property
from portal.web.documents import today
from portal.web.fields import DayField, day
from portal.web.lists import month_of, pairs
from portal.web.page import page

#: So many of the documents that were found are shown by name.
SHOWN = 8
#: No page has so many ticks; whoever wants more of them names a filter.
MOST_TICKED = 5000
#: What of a filter has a field of its own on the page; the rest is kept and can be left out.
DAYS = {"issued_from", "issued_to"}
FIELDS = {"q", "branch_id", "region_id", "unsent", *DAYS}


class Days(FlaskForm):  # type: ignore[misc]
    """From which day to which; read from the page's address."""

    class Meta:
        csrf = False

    issued_from = DayField("From")
    issued_to = DayField("Until")


NO_FILTERS = Filters()


@dataclass(frozen=True)
class Month:
    """A month to choose with one press."""

    value: str
    words: str
    here: bool


@dataclass(frozen=True)
class Here:
    """The page on which somebody chooses: of a new batch, or of a draft."""

    kind: Kind
    batch: Batch | None

    def address(self, args: dict[str, Any]) -> str:
        """The page with a filter."""
        if self.batch is not None:
            return url_for("batches.more", batch_id=self.batch.id, **args)
        kind = None if self.kind.slug == "invoice" else self.kind.slug
        return url_for("batches.new", kind=kind, **args)


@dataclass(frozen=True)
class Kept:
    """What the list was narrowed to besides, and the page without it."""

    name: str
    value: str
    words: str
    without: str


def choose_page(
    kind: Kind, form: FlaskForm, batch: Batch | None = None, status: int = 200
) -> ResponseReturnValue:
    """Which documents: the filter, how many it finds, and the first of them."""
    args = _args()
    days = Days(args)
    days.validate()
    filters = filters_in(args)
    ids = listing.matching(kind.slug, filters)
    foreseen = foresee(kind.slug, ids, batch.id if batch else None)
    here = Here(kind, batch)
    return page(
        "batches/filling.html",
        "found",
        status,
        kind=kind,
        form=form,
        batch=batch,
        filters=filters,
        days=days,
        regions=places.regions(),
        months=_months(filters),
        kept=_kept(here, filters),
        foreseen=foreseen,
        first=_first(kind, ids) if foreseen.added else [],
        this_page=here.address({}),
        carried=pairs(filters.as_args()),
    )


def chosen() -> Filters:
    """The filter that the page was asked for."""
    return filters_in(_args())


def _args() -> MultiDict[str, str]:
    """What the page was asked for; at first, all that was never sent."""
    if request.method != "GET":
        return MultiDict(request.form)
    args = MultiDict(request.args)
    if not set(args) - {"kind"}:
        args["unsent"] = "yes"
    month = _first_of(args.pop("month", ""))
    if month is not None:
        args["issued_from"], args["issued_to"] = (one.isoformat() for one in month_of(month))
    return args


def _first_of(month: str) -> dt.date | None:
    """The first day of a month that was pressed."""
    try:
        return day(month).replace(day=1)
    except ValueError:
        return None


def where_page(kind: Kind, form: FlaskForm, status: int = 200) -> ResponseReturnValue:
    """Into which batch: a new one, or a draft there is."""
    foreseen = foresee(kind.slug, wanted(kind))
    known = {"csrf_token", "name", "was", "batch"}
    carried = [pair for pair in request.form.items(multi=True) if pair[0] not in known]
    return page(
        "batches/where.html",
        None,
        status,
        kind=kind,
        form=form,
        foreseen=foreseen,
        carried=carried,
        drafts=offered(kind.slug),
    )


def wanted(kind: Kind) -> Select[Any]:
    """The documents that a sent form names: ticked ones, or all that fit its filter."""
    if "ids" in request.form:
        return select(Document.id).where(Document.id.in_(ticked("ids")))
    filters = filters_in(request.form)
    if not filters.as_args() and "all" not in request.form:
        return select(Document.id).where(Document.id.is_(None))
    return listing.matching(kind.slug, filters)


def ticked(name: str) -> list[int]:
    """The numbers behind the ticks of a sent form, each once; a flood of them is refused."""
    found = request.form.getlist(name)
    if len(found) > MOST_TICKED:
        abort(400)
    return sorted({int(one) for one in found if one.isdecimal() and len(one) < 19})


def filters_in(args: MultiDict[str, str]) -> Filters:
    """The filter an address or a form names; its days may be written as people write them."""
    return Filters.from_args(MultiDict((name, _iso(name, one)) for name, one in args.items(True)))


def _iso(name: str, value: str) -> str:
    if name not in DAYS:
        return value
    try:
        return day(value).isoformat()
    except ValueError:
        return ""  # the field says so


def usual_name(kind: Kind, filters: Filters = NO_FILTERS) -> str:
    """What a new batch is called unless somebody says otherwise: "Invoices, October 2026".

    The month is the one that was chosen, otherwise the present one.
    """
    first = filters.issued_from
    whole_month = first and (first, filters.issued_to) == month_of(first)
    month = first if whole_month else today()
    return f"{kind.plural}, {format_date(month, 'MMMM y', locale=LOCALE)}"


def kind_or_404(slug: str) -> Kind:
    return KINDS.get(slug) or abort(404)


def _first(kind: Kind, ids: Select[Any]) -> list[Document]:
    query = select(Document).where(Document.kind == kind.slug, Document.id.in_(ids))
    query = query.order_by(Document.issued.desc(), Document.id.desc()).limit(SHOWN)
    return list(db.session.scalars(query).unique())


def _months(filters: Filters) -> list[Month]:
    """This month and the two before it."""
    first, found = today().replace(day=1), []
    for _ in range(3):
        chosen = (filters.issued_from, filters.issued_to) == month_of(first)
        found.append(Month(first.isoformat(), format_date(first, "MMMM", locale=LOCALE), chosen))
        first = (first - dt.timedelta(days=1)).replace(day=1)
    return found


def _kept(here: Here, filters: Filters) -> list[Kept]:
    args = filters.as_args()
    return [
        Kept(name, value, _in_words(name, value), here.address(_without(args, name)))
        for name, value in pairs(args)
        if name not in FIELDS
    ]


def _in_words(name: str, value: str) -> str:
    """One part of a filter as a person says it."""
    match name:
        case "contact_id":
            customer = db.session.get(Contact, int(value))
            return f"Customer: {customer.name if customer else 'unknown'}"
        case "property_id":
            where = db.session.get(Property, int(value))
            return f"Property: {where.name if where else 'unknown'}"
        case "email_status":
            return f"E-mail: {EMAIL_STATUSES[EmailStatus(value)].label}"
        case "batch_id":
            batch = db.session.get(Batch, int(value))
            return f"In batch: {batch.name if batch else 'unknown'}"
    return f"Batch: {value}"


def _without(args: dict[str, Any], name: str) -> dict[str, Any]:
    """The rest of a filter; `asked` says that no usual part is to be put in its place."""
    return {"asked": "yes"} | {key: value for key, value in args.items() if key != name}
