"""The arithmetic of a document: what is printed adds up, to the cent, and never by floats."""

from __future__ import annotations

import datetime as dt
from dataclasses import FrozenInstanceError, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.documents import colour
from portal.documents.facts import (
    CompanyFacts,
    DocumentFacts,
    LineFacts,
    PartyFacts,
    long_date,
    money,
    plain_number,
    round_money,
)
from portal.documents.kinds import KINDS

amounts = st.decimals(Decimal(-(10**9)), Decimal(10**9), places=4)
rates = st.sampled_from([Decimal(rate) for rate in ("0", "5", "10", "10.00", "12.5", "20", "33.3")])
currencies = st.sampled_from(["AUD", "JPY", "KWD", "USD"])
many_lines = st.lists(
    st.builds(
        LineFacts,
        description=st.just("Work"),
        quantity=amounts,
        unit=st.just("h"),
        unit_price=amounts,
        tax_rate=rates,
    ),
    max_size=12,
)


def a_document(*lines: LineFacts, currency: str = "AUD", **others: Any) -> DocumentFacts:
    facts = DocumentFacts(
        kind="invoice",
        number="INV-0042",
        title="New hot water unit",
        issued=dt.date(2026, 11, 23),
        due=dt.date(2026, 12, 7),
        currency=currency,
        party=PartyFacts("Mary Lee"),
        company=CompanyFacts("Bright Spark Plumbing"),
        lines=lines,
    )
    return replace(facts, **others)


def a_line(quantity: str, price: str, rate: str = "10") -> LineFacts:
    return LineFacts("Labour", Decimal(quantity), "h", Decimal(price), Decimal(rate))


def test_marys_invoice_comes_to_1240_dollars() -> None:
    facts = a_document(a_line("1", "780"), a_line("2.5", "110"), a_line("1", "72.27"))

    assert facts.subtotal == Decimal("1127.27")
    assert facts.tax_by_rate == {Decimal(10): Decimal("112.73")}
    assert facts.money(facts.total) == "$1,240.00"


def test_tax_is_rounded_once_for_each_rate_and_not_for_each_line() -> None:
    facts = a_document(*[a_line("1", "0.05")] * 3, a_line("1", "10", "0"))

    assert facts.tax_by_rate == {Decimal(0): Decimal(0), Decimal(10): Decimal("0.02")}


def test_half_a_cent_rounds_up_and_a_credit_mirrors_its_charge() -> None:
    assert round_money(Decimal("0.125"), "AUD") == Decimal("0.13")
    assert round_money(Decimal("-0.125"), "AUD") == Decimal("-0.13")
    assert str(round_money(Decimal("-0.001"), "AUD")) == "0.00"


def test_a_currency_is_rounded_to_what_it_can_pay() -> None:
    assert money(Decimal("1240.5"), "JPY") == "JPY1,241"
    assert money(Decimal("1.2345"), "KWD").endswith("1.235")
    assert money(Decimal("-50"), "AUD") == "-$50.00"


def test_numbers_and_dates_are_written_as_people_write_them() -> None:
    written = [plain_number(Decimal(number)) for number in ("2.000", "1.50", "1000", "-3")]

    assert written == ["2", "1.5", "1,000", "-3"]
    assert long_date(dt.date(2026, 12, 7)) == "7 December 2026"


@given(many_lines, currencies)
def test_the_total_is_always_what_the_paper_shows_above_it(
    lines: list[LineFacts], currency: str
) -> None:
    facts = a_document(*lines, currency=currency)

    assert facts.subtotal == sum(facts.nets)
    assert facts.total == facts.subtotal + sum(facts.tax_by_rate.values())
    assert sum(facts.net_by_rate.values()) == facts.subtotal
    assert facts.total == round_money(facts.total, currency)
    assert all(isinstance(value, Decimal) for value in (facts.subtotal, facts.tax, facts.total))


@given(many_lines, currencies)
def test_crediting_every_line_takes_back_the_whole_total(
    lines: list[LineFacts], currency: str
) -> None:
    charged = a_document(*lines, currency=currency)
    credited = a_document(
        *(replace(line, quantity=-line.quantity) for line in lines), currency=currency
    )

    assert credited.total == -charged.total


@pytest.mark.parametrize("field", ["quantity", "unit_price", "tax_rate"])
def test_a_float_is_refused_at_the_door(field: str) -> None:
    wrong: Any = {field: 0.1}
    with pytest.raises(TypeError, match=field):
        LineFacts("Labour", **wrong)
    with pytest.raises(TypeError, match="amount"):
        money(0.1, "AUD")  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_an_amount_that_is_no_number_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="finite"):
        LineFacts("Labour", quantity=Decimal(value))


def test_facts_are_frozen_even_when_made_from_lists() -> None:
    lines: Any = [a_line("1", "10")]
    facts = a_document(lines=lines)
    lines.clear()

    assert len(facts.lines) == 1
    assert hash(facts)
    with pytest.raises(FrozenInstanceError):
        facts.number = "INV-0043"  # type: ignore[misc]


def test_the_button_says_the_deed() -> None:
    invoice, job = KINDS["invoice"], KINDS["job"]

    assert invoice.number(42) == "INV-0042"
    assert (
        invoice.send_text("INV-0042", "Mary Lee", "$1,240.00")
        == "Send invoice INV-0042 ($1,240.00) to Mary Lee"
    )
    assert job.send_text("JOB-0017", "Mary Lee", "$1,240.00") == "Send job JOB-0017 to Mary Lee"


def test_kinds_are_told_apart_by_their_slug_and_number() -> None:
    assert list(KINDS) == ["invoice", "quote", "purchase_order", "job", "enquiry"]
    assert len({kind.prefix for kind in KINDS.values()}) == len(KINDS)
    assert [slug for slug, kind in KINDS.items() if kind.recipient == "supplier"] == [
        "purchase_order"
    ]


@given(st.from_regex(r"#[0-9a-f]{6}", fullmatch=True), st.sampled_from(["#ffffff", colour.NIGHT]))
def test_any_accent_can_be_read_where_it_is_used(accent: str, background: str) -> None:
    assert colour.contrast(colour.readable(accent, background), background) >= colour.READABLE
    assert colour.contrast(colour.on(accent), accent) >= colour.READABLE


def test_a_colour_that_is_none_falls_back_to_ours() -> None:
    assert colour.accent("#0B6E8F") == "#0b6e8f"
    assert colour.accent("red; background: url(x)") == colour.DEFAULT
