"""Lists of documents: what they are narrowed to, which columns they show, and Display."""

import datetime as dt
from calendar import monthrange
from dataclasses import dataclass, replace
from typing import Any

from babel.dates import format_date
from flask import Blueprint, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import dispatch, places
from portal.batches import Batch
from portal.dispatch import Dispatch
from portal.documents import columns, listing
from portal.documents.columns import ALWAYS, Column
from portal.documents.facts import LOCALE
from portal.documents.kinds import Kind
from portal.documents.listing import Cursor, Filters, Page
from portal.documents.status import BATCH_STATUSES, EMAIL_STATUSES, BatchStatus, EmailStatus
from portal.documents.status import explain as explained
from portal.extensions import db
from portal.people import Contact, find_contacts
from portal.places import Branch, Property, Region
from portal.properties import Filters as PropertyFilters
from portal.properties import found as properties_found
from portal.web.documents import day, kind_or_404, today
from portal.web.documents import pages as document_pages
from portal.web.guard import on_site
from portal.web.page import page, see_other, wants_fragment

pages = Blueprint("lists", __name__)

#: So many months can be chosen with one press.
MONTHS = 4
#: So many customers or properties are offered at once; more words find the rest.
OFFERED = 8


@dataclass(frozen=True)
class Chip:
    """One thing a list is narrowed to, and the list without it."""

    words: str
    href: str


@dataclass(frozen=True)
class Month:
    """A month to choose with one press, or, where the list is narrowed to it, to take away."""

    words: str
    href: str
    here: bool


@document_pages.get("/documents/<kind>")
def index(kind: str) -> ResponseReturnValue:
    """The documents of a kind, newest first."""
    facts = kind_or_404(kind)
    filters = _of_what_exists(Filters.from_args(request.args))
    after = Cursor.read(request.args.get("after", ""))
    found = listing.page(facts.slug, filters, after)
    shown = columns.shown(current_user, facts)
    answer = page(
        "documents/index.html",
        "finding" if "find" in request.args else "found",
        kind=facts,
        filters=filters,
        found=found,
        after=after,
        columns=shown,
        sendings=_sendings(found, shown),
        explanations=_explanations(found, shown),
        carried=pairs(filters.as_args()),
        newer=_beside(facts, filters, found.newer),
        older=_beside(facts, filters, found.older),
        **_narrowing(facts, filters),
    )
    if (
        wants_fragment() and "find" not in request.args
    ):  # the same list under an address that names only what was chosen
        answer.headers["HX-Push-Url"] = _list(facts, filters)  # type: ignore[union-attr]
    return answer


def _narrowing(kind: Kind, filters: Filters) -> dict[str, Any]:
    """What the form of filters offers, and the chips of what is chosen."""
    customer, where = request.args.get("customer", ""), request.args.get("where", "")
    contact = _get(Contact, filters.contact_id)
    near = PropertyFilters(words=where, customer_id=contact.id if contact else 0)
    return {
        "chips": _chips(kind, filters),
        "months": _months(kind, filters),
        "regions": places.regions(),
        "email_statuses": EMAIL_STATUSES,
        "batch_statuses": BATCH_STATUSES,
        "contact": contact,
        "property_": _get(Property, filters.property_id),
        "customer_words": customer,
        "where_words": where,
        "customers": find_contacts(customer, limit=OFFERED) if customer.strip() else [],
        "properties": properties_found(near, size=OFFERED).properties if where.strip() else [],
    }


# -- the address ---------------------------------------------------------------------------------


def _list(kind: Kind, filters: Filters, after: Cursor | None = None) -> str:
    args = filters.as_args() | ({"after": str(after)} if after else {})
    return url_for("documents.index", kind=kind.slug, **args)


def _beside(kind: Kind, filters: Filters, cursor: Cursor | None) -> str:
    return _list(kind, filters, cursor) if cursor else ""


def _of_what_exists(filters: Filters) -> Filters:
    """The filters without those that name something which is not there, and a sentence for each."""
    named = {
        "branch_id": (Branch, "branch"),
        "region_id": (Region, "region"),
        "property_id": (Property, "property"),
        "contact_id": (Contact, "customer"),
        "batch_id": (Batch, "batch"),
    }
    for name, (noun, words) in named.items():
        wanted = getattr(filters, name)
        if wanted is not None and db.session.get(noun, wanted) is None:
            sentence = f"The {words} that was asked for is not there. The list is shown without it."
            rest: dict[str, Any] = {name: None, "ignored": (*filters.ignored, sentence)}
            filters = replace(filters, **rest)
    return filters


def _chips(kind: Kind, filters: Filters) -> list[Chip]:
    """Everything the list is narrowed to but the words, which stand in the search box."""
    found: list[tuple[str, dict[str, Any]]] = [
        (EMAIL_STATUSES[EmailStatus(one)].label, {"email_status": _others(filters, one)})
        for one in filters.email_status
    ]
    if filters.unsent:
        found.append(("Never sent", {"unsent": False}))
    if filters.batch_status is not None:
        label = BATCH_STATUSES[BatchStatus(filters.batch_status)].label
        words = f"Batch: {label}" if filters.batch_status else label
        found.append((words, {"batch_status": None}))
    for noun, name in NAMED:
        if one := _get(noun, getattr(filters, name)):
            found.append((_called(one), {name: None}))
    if _days(filters) and not any(one.here for one in _months(kind, filters)):
        found.append((_days(filters), {"issued_from": None, "issued_to": None}))
    return [Chip(words, _list(kind, replace(filters, **rest))) for words, rest in found]


#: The filters that name a record.
NAMED = (
    (Region, "region_id"),
    (Branch, "branch_id"),
    (Contact, "contact_id"),
    (Property, "property_id"),
    (Batch, "batch_id"),
)


def _called(one: Any) -> str:
    prefix = {Region: "Region ", Branch: "Branch ", Batch: "Batch "}.get(type(one), "")
    return f"{prefix}{one.name}"


def _others(filters: Filters, status: str) -> tuple[str, ...]:
    return tuple(one for one in filters.email_status if one != status)


def _days(filters: Filters) -> str:
    first, last = filters.issued_from, filters.issued_to
    if first and last and month_of(first) == (first, last):
        return format_date(first, "MMMM y", locale=LOCALE)
    if first and last:
        return f"{day(first)} to {day(last)}"
    return f"From {day(first)}" if first else f"Until {day(last)}" if last else ""


def month_of(date: dt.date) -> tuple[dt.date, dt.date]:
    """The first and the last day of a month."""
    return date.replace(day=1), date.replace(day=monthrange(date.year, date.month)[1])


def _months(kind: Kind, filters: Filters) -> list[Month]:
    """This month, the last, and the ones before by their names."""
    found: list[Month] = []
    date = today()
    for _ in range(MONTHS):
        first, last = month_of(date)
        named = format_date(first, "MMMM", locale=LOCALE)
        words = ("This month", "Last month")[len(found)] if len(found) < 2 else named
        here = (filters.issued_from, filters.issued_to) == (first, last)
        days = (None, None) if here else (first, last)
        chosen = replace(filters, issued_from=days[0], issued_to=days[1])
        found.append(Month(words, _list(kind, chosen), here))
        date = first - dt.timedelta(days=1)
    return found


def _get(noun: type[Any], number: int | None) -> Any:
    return db.session.get(noun, number) if number is not None else None


def pairs(args: dict[str, Any]) -> list[tuple[str, str]]:
    """Filters as the hidden fields of a form."""
    several = ((name, one if isinstance(one, list) else [one]) for name, one in args.items())
    return [(name, str(value)) for name, values in several for value in values]


# -- what stands in the rows ---------------------------------------------------------------------


def _sendings(found: Page, shown: list[Column]) -> dict[int, Dispatch]:
    """The last sending of each document, where a column asks for it."""
    if not any(column.of_sending for column in shown):
        return {}
    return dispatch.latest_by_document([row.id for row in found.rows])


def _explanations(found: Page, shown: list[Column]) -> dict[tuple[str, str], Any]:
    """What each status on the page means and asks for."""
    if not {"email_status", "batch_status"} & {column.name for column in shown}:
        return {}
    pairs = {(row.batch_status, row.email_status) for row in found.rows}
    return {pair: explained(*pair) for pair in sorted(pairs)}


# -- Display -------------------------------------------------------------------------------------


@pages.get("/documents/<kind>/display")
def display(kind: str) -> ResponseReturnValue:
    """Which columns to show, and in which order."""
    facts = kind_or_404(kind)
    chosen = [column.name for column in columns.shown(current_user, facts)]
    return _display_page(facts, chosen, request.args.get("next", ""))


@pages.post("/documents/<kind>/display")
def update_display(kind: str) -> ResponseReturnValue:
    """Remember the columns; or, by one of the arrows, only show the form in another order."""
    facts = kind_or_404(kind)
    names = columns.arranged(facts, request.form.getlist("column"))
    back = request.form.get("next", "")
    if "move" in request.form:
        order = columns.arranged(facts, request.form.getlist("order"))
        return _display_page(facts, names, back, _moved(order, request.form["move"]))
    usual = "usual" in request.form
    columns.remember(current_user, facts, [] if usual else names)
    flash("The usual columns are back." if usual else "Your columns are saved.", "good")
    return see_other(on_site(back) if back else url_for("documents.index", kind=facts.slug))


def _moved(order: list[str], wish: str) -> list[str]:
    """The order after a wish: left:due puts due before what stood before it."""
    way, _, name = wish.partition(":")
    if name not in order:
        return order
    at = order.index(name)
    to = max(0, at - 1) if way == "left" else min(len(order) - 1, at + 1)
    order.insert(to, order.pop(at))
    return order


def _display_page(
    kind: Kind, chosen: list[str], back: str, order: list[str] | None = None
) -> ResponseReturnValue:
    """The form: what is shown first, then what could be; in the order given, where one is."""
    known = {column.name: column for column in columns.offered(kind)}
    every = [*(order or chosen), *known]
    return page(
        "documents/display.html",
        "form",
        kind=kind,
        chosen=chosen,
        always=ALWAYS,
        columns=[known[name] for name in dict.fromkeys(every)],
        back=back,
    )
