"""Drawing: a document's facts as an A4 page, by Typst, from the designs in `typst/`.

Designs get finished strings, never markup, so nothing a person types can be run. The same facts
give the same bytes: the only clock is the day of issue.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import re
import threading
from base64 import b64encode
from collections.abc import Iterator
from decimal import Decimal
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import typst
from babel import Locale
from PIL import Image, ImageOps

from portal.documents import colour
from portal.documents.facts import DocumentFacts, LineFacts, plain_number, unit_price
from portal.documents.kinds import KINDS

HERE = Path(__file__).resolve().parent
DESIGNS = HERE / "typst"
FONTS = HERE / "fonts"

STANDARDS: list[typst.PDFStandard] = ["a-3a", "ua-1"]
LOGO_PIXELS = (1200, 600)
#: Dots to the inch of a picture for the screen: sharp at a page's width on a desktop.
SCREEN = 110.0
#: More than a page can hold, of rows and of letters: what is beyond is not drawn for a picture.
MOST_ROWS, MOST_LETTERS = 60, 12_000

_HEADINGS = {"job": "Job sheet"}
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
_UNBROKEN = re.compile(r"[^\s\u200b-]{28}(?=[^\s\u200b-])")
_THREAD = threading.local()


class DrawingProblem(ValueError):
    """A document that cannot be drawn. The message is the sentence to show."""


def draw(facts: DocumentFacts) -> bytes:
    """The document as PDF/A-3 with tags: for people, for screen readers, and for the archive."""
    inputs = _inputs(facts)
    issued = dt.datetime.combine(facts.issued, dt.time(), dt.UTC)
    try:
        return _compile(inputs, issued, STANDARDS)
    except typst.TypstError as error:
        if "could not be displayed" not in error.message:
            raise
        # An archive must hold every glyph and our fonts lack one (a hieroglyph, say). The customer
        # is better served by a plain PDF with a box in that place than by none.
        return _compile(inputs, issued, [])


@lru_cache(maxsize=8)
def first_page(facts: DocumentFacts) -> bytes:
    """The first page as a PNG, drawn by the same design: for screens, many of which show no PDF."""
    _Forked.check()
    inputs = _written(_cut_short(sheet(facts)), facts)
    drawn = _compiler().compile(format="png", sys_inputs=inputs, ppi=SCREEN)
    pages = drawn if isinstance(drawn, list) else [drawn]
    if not isinstance(pages[0], bytes):
        raise TypeError("Typst drew no page")
    return pages[0]


def _cut_short(whole: dict[str, Any]) -> dict[str, Any]:
    """The sheet without what comes after its first page; the totals stay those of the whole."""
    cut = whole | {"lines": list(_top_lines(whole["lines"])), "notes": _top(whole["notes"])}
    return cut | {"whole": cut == whole}


def _top_lines(lines: list[dict[str, str]]) -> Iterator[dict[str, str]]:
    room = MOST_LETTERS
    for line in lines[:MOST_ROWS]:
        if room <= 0:
            return
        rows = line["description"].split("\n")[:MOST_ROWS]
        yield line | {"description": "\n".join(rows)}
        room -= sum(len(row) for row in rows) + len(rows) * (MOST_LETTERS // MOST_ROWS)


def _top(paragraphs: list[str]) -> list[str]:
    return ["\n".join(one.split("\n")[:MOST_ROWS]) for one in paragraphs[:MOST_ROWS]]


class _Forked:
    """Typst's own threads do not survive a fork: a child of a drawing process waits for ever."""

    drawn = False
    stuck = False

    @classmethod
    def in_child(cls) -> None:
        cls.stuck = cls.drawn

    @classmethod
    def check(cls) -> None:
        if cls.stuck:
            raise RuntimeError(
                "This process was forked from one that had already drawn a PDF, and would hang. "
                "Draw only after forking, or start the process with spawn."
            )
        cls.drawn = True


os.register_at_fork(after_in_child=_Forked.in_child)


def _inputs(facts: DocumentFacts) -> dict[str, str]:
    return _written(sheet(facts), facts)


def _written(printed: dict[str, Any], facts: DocumentFacts) -> dict[str, str]:
    return {"sheet": json.dumps(printed, ensure_ascii=False), "logo": _logo(facts)}


def _compile(
    inputs: dict[str, str], issued: dt.datetime, standards: list[typst.PDFStandard]
) -> bytes:
    _Forked.check()
    drawn = _compiler().compile(
        format="pdf", sys_inputs=inputs, pdf_standards=standards, timestamp=issued
    )
    if not isinstance(drawn, bytes):
        raise TypeError("Typst drew something that is no single file")
    return drawn


def _compiler() -> typst.Compiler:
    """One for each thread, kept: a compiler serves one caller at a time, and costs to start."""
    if not hasattr(_THREAD, "compiler"):
        _THREAD.compiler = typst.Compiler(DESIGNS / "main.typ", root=DESIGNS, font_paths=_fonts())
    compiler: typst.Compiler = _THREAD.compiler
    return compiler


@cache
def _fonts() -> typst.Fonts:
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[FONTS])


def sheet(facts: DocumentFacts) -> dict[str, Any]:
    """What the designs print, as the strings they print it with."""
    kind = KINDS[facts.kind]
    locale = Locale.parse(facts.locale)
    heading = _heading(facts)
    return {
        "kind": kind.slug,
        "lang": locale.language,
        "region": locale.territory,
        "heading": heading,
        "meta_title": _text(f"{heading} {facts.number} – {facts.company.name}"),
        "number": _text(facts.number),
        "title": _text(facts.title),
        "day": [facts.issued.year, facts.issued.month, facts.issued.day],
        "colours": _colours(facts.company.accent),
        "company": _company(facts),
        "party": _party(facts),
        "site": {"label": kind.site_label, "lines": _texts(facts.site_lines)},
        "due": {"label": kind.due_label or "", "value": facts.date(facts.due) if facts.due else ""},
        "details": [[label, _text(value)] for label, value in _details(facts) if value.strip()],
        "lines": [_line(facts, *pair) for pair in zip(facts.lines, facts.nets, strict=True)],
        "tax_column": _tax_column(facts),
        "totals": _totals(facts) if kind.priced else None,
        "notes": [_text(part) for part in re.split(r"\n\s*\n", facts.notes) if part.strip()],
        "prepared_by": _text(facts.prepared_by),
        "whole": True,
    }


def _heading(facts: DocumentFacts) -> str:
    """Australian law wants the words "Tax invoice" on an invoice that charges GST."""
    if facts.kind != "invoice":
        return _HEADINGS.get(facts.kind, KINDS[facts.kind].label)
    if facts.total < 0:
        return "Credit note"
    return "Tax invoice" if facts.company.tax_number and facts.tax else "Invoice"


def _details(facts: DocumentFacts) -> Iterator[tuple[str, str]]:
    yield "Date", facts.date(facts.issued)
    yield "Reference", facts.reference
    yield "Prepared by", facts.prepared_by


def _company(facts: DocumentFacts) -> dict[str, Any]:
    company = facts.company
    return {
        "name": _text(company.name),
        "legal_name": _text(company.legal_name or company.name),
        "tax": _text(f"{company.tax_label} {company.tax_number}") if company.tax_number else "",
        "address": _texts(company.address_lines),
        "phone": _text(company.phone),
        "email": _text(company.email),
        "website": _text(company.website),
        "bank": _texts(company.bank_lines),
        "footer": _text(company.footer),
    }


def _party(facts: DocumentFacts) -> dict[str, Any]:
    party = facts.party
    return {
        "label": KINDS[facts.kind].party_label,
        "name": _text(party.name),
        "attention": _text(party.attention),
        "address": _texts(party.address_lines),
        "email": _text(party.email),
        "phone": _text(party.phone),
    }


def _line(facts: DocumentFacts, line: LineFacts, net: Decimal) -> dict[str, str]:
    return {
        "description": _text(line.description),
        "quantity": _text(f"{plain_number(line.quantity, facts.locale)} {line.unit}"),
        "price": unit_price(line.unit_price, facts.currency, facts.locale),
        "rate": f"{plain_number(line.tax_rate, facts.locale)}%",
        "net": facts.money(net),
    }


def _tax_column(facts: DocumentFacts) -> str:
    """The tax of each line is worth a column only where lines differ."""
    return _text(facts.company.tax_name) if len(facts.tax_by_rate) > 1 else ""


def _totals(facts: DocumentFacts) -> dict[str, Any]:
    taxes = [
        [_tax_label(facts, rate), facts.money(tax)]
        for rate, tax in facts.tax_by_rate.items()
        if rate or len(facts.tax_by_rate) == 1
    ]
    return {
        "subtotal": facts.money(facts.subtotal),
        "taxes": taxes,
        "currency": facts.currency,
        "total": facts.money(facts.total),
        "payable": facts.total > 0,
        "credit": facts.total < 0,
    }


def _tax_label(facts: DocumentFacts, rate: Decimal) -> str:
    return _text(f"{facts.company.tax_name} {plain_number(rate, facts.locale)}%")


def _colours(company_accent: str) -> dict[str, str]:
    accent = colour.accent(company_accent)
    return {
        "accent": accent,
        "on_accent": colour.on(accent),
        "text": colour.readable(accent),
        "tint": colour.mix(accent, colour.WHITE, 0.93),
        "edge": colour.mix(accent, colour.WHITE, 0.7),
        "ink": colour.INK,
    }


def _texts(lines: tuple[str, ...]) -> list[str]:
    return [text for line in lines if (text := _text(line))]


def _text(text: str) -> str:
    """What can be printed: no control characters, and a place to break in a very long word."""
    text = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()
    return _UNBROKEN.sub(lambda found: found.group() + "\u200b", text)


def _logo(facts: DocumentFacts) -> str:
    return _logo_svg(facts.company.logo) if facts.company.logo else ""


@lru_cache(maxsize=8)
def _logo_svg(logo: bytes) -> str:
    """The logo as SVG, the one picture format that Typst takes as a string.

    It is redrawn on the way: a phone's 12-megapixel photo must not ride in every e-mail, and
    a broken or hostile file ends here.
    """
    try:
        with Image.open(io.BytesIO(logo)) as opened:
            picture = ImageOps.exif_transpose(opened).convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DrawingProblem("The logo cannot be read; upload it again as PNG or JPEG.") from error
    picture.thumbnail(LOGO_PIXELS)
    width, height = picture.size
    png = io.BytesIO()
    picture.save(png, "PNG", optimize=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">'
        f'<image width="{width}" height="{height}"'
        f' href="data:image/png;base64,{b64encode(png.getvalue()).decode()}"/></svg>'
    )
