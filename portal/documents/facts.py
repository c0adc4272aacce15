"""Facts: everything a document says, gathered and frozen before it is drawn or mailed.

A drawing or a mail is made from facts alone, so the same facts always give the same paper.
Money is Decimal from end to end; a float is refused at the door.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache

from babel.dates import format_date
from babel.numbers import format_currency, format_decimal, get_currency_precision

LOCALE = "en_AU"

# Wide enough that no product or sum of amounts a person can type loses a digit.
_EXACT = Context(prec=60, rounding=ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class CompanyFacts:
    """The business whose name stands on the paper."""

    name: str
    legal_name: str = ""
    tax_label: str = "ABN"
    tax_number: str = ""
    address_lines: tuple[str, ...] = ()
    phone: str = ""
    email: str = ""
    website: str = ""
    bank_lines: tuple[str, ...] = ()
    accent: str = "#0b5c7a"
    logo: bytes | None = None
    logo_mime: str = ""
    footer: str = ""
    tax_name: str = "GST"

    def __post_init__(self) -> None:
        _freeze(self, "address_lines", "bank_lines")


@dataclass(frozen=True, slots=True)
class PartyFacts:
    """Whom the paper is for: a customer, or the supplier of an order."""

    name: str
    attention: str = ""
    address_lines: tuple[str, ...] = ()
    email: str = ""
    phone: str = ""

    def __post_init__(self) -> None:
        _freeze(self, "address_lines")


@dataclass(frozen=True, slots=True)
class LineFacts:
    """One line. `net` and `tax` are exact; a document rounds them to its currency."""

    description: str
    quantity: Decimal = Decimal(1)
    unit: str = ""
    unit_price: Decimal = Decimal(0)
    tax_rate: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        for name in ("quantity", "unit_price", "tax_rate"):
            _require_decimal(name, getattr(self, name))

    @property
    def net(self) -> Decimal:
        return _EXACT.multiply(self.quantity, self.unit_price)

    @property
    def tax(self) -> Decimal:
        return percent_of(self.tax_rate, self.net)


@dataclass(frozen=True, slots=True)
class DocumentFacts:
    """One document, with the arithmetic that every drawing of it must agree on."""

    kind: str
    number: str
    title: str
    issued: dt.date
    due: dt.date | None
    currency: str
    party: PartyFacts
    company: CompanyFacts
    site_lines: tuple[str, ...] = ()
    lines: tuple[LineFacts, ...] = ()
    notes: str = ""
    reference: str = ""
    prepared_by: str = ""
    property_name: str = ""
    account_manager: str = ""
    branch: str = ""
    branch_id: int | None = None
    locale: str = LOCALE

    def __post_init__(self) -> None:
        _freeze(self, "site_lines", "lines")

    @property
    def nets(self) -> tuple[Decimal, ...]:
        """What each line comes to, rounded: the figures printed beside the lines."""
        return tuple(round_money(line.net, self.currency) for line in self.lines)

    @property
    def subtotal(self) -> Decimal:
        return self._sum(self.nets)

    @property
    def net_by_rate(self) -> Mapping[Decimal, Decimal]:
        """Rounded nets by tax rate, lowest rate first."""
        groups: dict[Decimal, Decimal] = defaultdict(Decimal)
        for line, net in zip(self.lines, self.nets, strict=True):
            groups[line.tax_rate] = _EXACT.add(groups[line.tax_rate], net)
        return dict(sorted(groups.items()))

    @property
    def tax_by_rate(self) -> Mapping[Decimal, Decimal]:
        """Tax by rate, rounded once for each rate, lowest rate first."""
        return {
            rate: round_money(percent_of(rate, net), self.currency)
            for rate, net in self.net_by_rate.items()
        }

    @property
    def tax(self) -> Decimal:
        return self._sum(self.tax_by_rate.values())

    @property
    def total(self) -> Decimal:
        return _EXACT.add(self.subtotal, self.tax)

    @property
    def site(self) -> str:
        return ", ".join(filter(None, (line.strip() for line in self.site_lines)))

    def money(self, amount: Decimal) -> str:
        return money(amount, self.currency, self.locale)

    def date(self, day: dt.date) -> str:
        return long_date(day, self.locale)

    def _sum(self, amounts: Iterable[Decimal]) -> Decimal:
        result = round_money(Decimal(0), self.currency)
        for amount in amounts:
            result = _EXACT.add(result, amount)
        return result


def round_money(amount: Decimal, currency: str) -> Decimal:
    """Half-up to what the currency can pay; a credit mirrors its charge."""
    exponent = Decimal(1).scaleb(-get_currency_precision(currency))
    return amount.quantize(exponent, context=_EXACT) + Decimal(0)  # + 0 turns -0.00 into 0.00


def percent_of(rate: Decimal, amount: Decimal) -> Decimal:
    return _EXACT.scaleb(_EXACT.multiply(amount, rate), Decimal(-2))


def money(amount: Decimal, currency: str, locale: str = LOCALE) -> str:
    """`money(Decimal(1240), "AUD")` is "$1,240.00"."""
    _require_decimal("amount", amount)
    return format_currency(round_money(amount, currency), currency, locale=locale)


def unit_price(price: Decimal, currency: str, locale: str = LOCALE) -> str:
    """As money, but with its fractions of a cent: quantity times price must come out right."""
    _require_decimal("price", price)
    return format_currency(price, currency, locale=locale, decimal_quantization=False)


@lru_cache(maxsize=4096)  # a batch has the same few quantities and rates ten thousand times
def plain_number(number: Decimal, locale: str = LOCALE) -> str:
    """A quantity or a rate without the zeros nobody typed: 2, 1.5, 1,000."""
    return format_decimal(number, format="#,##0.######", locale=locale)


def long_date(day: dt.date, locale: str = LOCALE) -> str:
    return format_date(day, format="d MMMM y", locale=locale)


def _require_decimal(name: str, value: object) -> None:
    if not isinstance(value, Decimal):
        raise TypeError(f"{name} must be a Decimal, not {type(value).__name__}")
    if not value.is_finite():
        raise ValueError(f"{name} must be a finite number")


def _freeze(facts: object, *names: str) -> None:
    """Lists are welcome; what is kept is a tuple, so facts stay hashable and frozen."""
    for name in names:
        object.__setattr__(facts, name, tuple(getattr(facts, name)))
