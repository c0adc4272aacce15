"""The lines of a document as a person writes them: rows that come, go and add up."""

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from wtforms import Field, FieldList, Form, TextAreaField
from wtforms.validators import DataRequired

from portal.documents import MOST_LINES
from portal.documents.facts import CompanyFacts, DocumentFacts, LineFacts, PartyFacts
from portal.documents.kinds import Kind
from portal.web.fields import Line, Most, NumberField, PriceField, printable, stripped

#: Some more than a document may have, so that a few too many are told kindly and kept.
MOST_ROWS = 2 * MOST_LINES
LARGEST_QUANTITY = 1_000_000
LARGEST_PRICE = 100_000_000
USUAL_TAX = Decimal(10)
_ROW = re.compile(r"lines-(\d{1,6})-(description|quantity|unit|unit_price|tax_rate)", re.ASCII)
#: What a row holds before anybody writes in it.
UNTOUCHED = {"quantity": {"", "1"}, "tax_rate": {"", "10"}}


class WorkLine(Form):  # type: ignore[misc]
    """One line of a job or an enquiry: a thing to do, or to ask."""

    description = TextAreaField(
        "Description",
        [DataRequired("Say what this line is for."), printable, Most(2000)],
        filters=[stripped],
    )
    quantity = NumberField("Quantity", places=3, most=LARGEST_QUANTITY, empty=Decimal(1))
    unit = Line("Unit", most=20)

    def facts(self) -> LineFacts:
        return LineFacts(self.description.data or "", self.quantity.data, self.unit.data or "")


class PricedLine(WorkLine):
    """One line that costs something."""

    unit_price = PriceField(
        "Unit price", places=4, most=LARGEST_PRICE, required="Write the price. It may be 0."
    )
    tax_rate = NumberField("Tax %", places=2, most=100, empty=Decimal(0))

    def facts(self) -> LineFacts:
        work = super().facts()
        return replace(work, unit_price=self.unit_price.data, tax_rate=self.tax_rate.data)


def line_form(kind: Kind) -> type[WorkLine]:
    return PricedLine if kind.priced else WorkLine


@dataclass(frozen=True)
class Row:
    """A row as it came from the page, under the number it bears there."""

    number: int
    typed: dict[str, str]

    @property
    def blank(self) -> bool:
        return all(value.strip() in UNTOUCHED.get(name, {""}) for name, value in self.typed.items())


def rows_in(typed: "MultiDict[str, str]") -> list[Row]:
    """The rows of a submitted form, in the order of their numbers."""
    found: dict[int, dict[str, str]] = {}
    for name, value in typed.items():
        match = _ROW.fullmatch(name)
        if match:
            found.setdefault(int(match[1]), {})[match[2]] = value
    if len(found) > MOST_ROWS:
        raise RequestEntityTooLarge
    return [Row(number, found[number]) for number in sorted(found)]


def renumbered(typed: "MultiDict[str, str]", rows: Iterable[Row]) -> "MultiDict[str, str]":
    """The submitted form with only these rows, numbered from 0."""
    others = [pair for pair in typed.items(multi=True) if not pair[0].startswith("lines-")]
    lines = [
        (f"lines-{position}-{name}", value)
        for position, row in enumerate(rows)
        for name, value in row.typed.items()
    ]
    return MultiDict([*others, *lines])


def rows_of(field: FieldList) -> list[Row]:
    """The rows a form shows, as they would come back from the page."""
    return [
        Row(number, {one.short_name: one._value() for one in entry.form})
        for number, entry in enumerate(field.entries)
    ]


def read(row: Row, kind: Kind) -> WorkLine:
    """One row as a form of its own, under the names it has on the page."""
    prefix = f"lines-{row.number}"
    values = MultiDict({f"{prefix}-{name}": value for name, value in row.typed.items()})
    return line_form(kind)(values, prefix=prefix)


def pattern(kind: Kind) -> WorkLine:
    """An empty row to copy: __n__ stands for its number."""
    return line_form(kind)(prefix="lines-__n__-", data=fresh(kind))


def fresh(kind: Kind) -> dict[str, Decimal]:
    """What a new row begins with."""
    usual = {"quantity": Decimal(1)}
    return usual | {"tax_rate": USUAL_TAX} if kind.priced else usual


@dataclass(frozen=True)
class Sum:
    """What the rows come to while somebody is still writing them."""

    facts: DocumentFacts
    nets: dict[int, str]
    problem: str


def added_up(rows: list[Row], kind: Kind, company: CompanyFacts, currency: str) -> Sum:
    """The rows that can be read, added up; the first that cannot, named. Stores nothing."""
    lines: dict[int, LineFacts] = {}
    problem = ""
    for position, row in enumerate(rows, 1):
        if row.blank:
            continue
        form = read(row, kind)
        wrong = next((one for one in _figures(form) if not one.validate(form)), None)
        if wrong is None:
            lines[row.number] = form.facts()
        else:
            problem = problem or f"Line {position}: {wrong.errors[0]}"
    facts = DocumentFacts(
        kind=kind.slug,
        number="",
        title="",
        issued=dt.date.min,
        due=None,
        currency=currency,
        party=PartyFacts(""),
        company=company,
        lines=tuple(lines.values()),
    )
    nets = dict(zip(lines, map(facts.money, facts.nets), strict=True))
    return Sum(facts, nets, problem)


def _figures(form: WorkLine) -> list[Field]:
    return [field for field in form if isinstance(field, NumberField)]
