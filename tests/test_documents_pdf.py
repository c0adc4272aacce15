"""The paper the customer sees: right words on the right page, whatever people typed."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal

import pytest
from PIL import Image
from pypdf import PdfReader

from portal.documents import pdf
from portal.documents.facts import CompanyFacts, DocumentFacts, LineFacts, PartyFacts
from portal.documents.kinds import KINDS

INVOICE = DocumentFacts(
    kind="invoice",
    number="INV-0042",
    title="New hot water unit",
    issued=dt.date(2026, 11, 23),
    due=dt.date(2026, 12, 7),
    currency="AUD",
    party=PartyFacts("Mary Lee", address_lines=("8 Acacia Street",), phone="0491 570 006"),
    company=CompanyFacts(
        name="Bright Spark Plumbing",
        legal_name="Bright Spark Plumbing Pty Ltd",
        tax_number="51 824 753 556",
        email="accounts@brightspark.example",
        bank_lines=("BSB 062-000", "Account 1234 5678"),
        accent="#0b6e8f",
    ),
    site_lines=("8 Acacia Street", "Newtown NSW 2042"),
    lines=(
        LineFacts("Hot water unit", Decimal(1), "each", Decimal("1127.27"), tax_rate=Decimal(10)),
    ),
    notes="Thank you for your business.",
    prepared_by="Olive Park",
)


def pages(drawn: bytes) -> list[str]:
    """The words of each page, with single spaces."""
    return [" ".join(page.extract_text().split()) for page in PdfReader(io.BytesIO(drawn)).pages]


def words(facts: DocumentFacts) -> str:
    return " ".join(pages(pdf.draw(facts)))


def some_lines(count: int) -> tuple[LineFacts, ...]:
    return tuple(
        LineFacts(f"Row{i}.", unit_price=Decimal(5), tax_rate=Decimal(10)) for i in range(count)
    )


def a_picture(size: tuple[int, int], mode: str = "RGB", fmt: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, 120).save(file, fmt)
    return file.getvalue()


def branded(**others: object) -> DocumentFacts:
    return replace(INVOICE, company=replace(INVOICE.company, **others))  # type: ignore[arg-type]


def archived(drawn: bytes) -> bool:
    return b"<pdfaid:part>3</pdfaid:part>" in drawn and b"<pdfuaid:part>1</pdfuaid:part>" in drawn


def test_marys_invoice_says_what_she_owes_and_how_to_pay() -> None:
    text = words(INVOICE)

    for words_on_it in (
        "Tax invoice INV-0042",
        "Bill to Mary Lee",
        "Amount due",
        "$1,240.00",
        "GST 10% $112.73",
        "Total AUD $1,240.00",
        "BSB 062-000",
        "by 7 December 2026",
        "ABN 51 824 753 556",
        "Page 1 of 1",
    ):
        assert words_on_it in text


@pytest.mark.parametrize(
    ("kind", "says", "never_says"),
    [
        ("invoice", "How to pay", "Accept this quote"),
        ("quote", "Accept this quote", "How to pay"),
        ("purchase_order", "on the delivery docket", "How to pay"),
        ("job", "Sign-off", "$"),
        ("enquiry", "Our questions", "$"),
    ],
)
def test_each_kind_asks_for_its_own_deed(kind: str, says: str, never_says: str) -> None:
    text = words(replace(INVOICE, kind=kind))

    assert says in text
    assert never_says not in text
    assert KINDS[kind].party_label in text
    assert KINDS[kind].site_label in text


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_an_archive_file_that_a_screen_reader_can_read(kind: str) -> None:
    drawn = pdf.draw(replace(INVOICE, kind=kind))
    root = PdfReader(io.BytesIO(drawn)).root_object

    assert archived(drawn)
    assert root["/Lang"] == "en-AU"
    assert root["/MarkInfo"]["/Marked"]
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]
    assert len(root["/StructTreeRoot"]["/K"]) > 0


def test_the_title_names_the_document_and_the_company() -> None:
    found = PdfReader(io.BytesIO(pdf.draw(INVOICE))).metadata

    assert found is not None
    assert found.title == "Tax invoice INV-0042 – Bright Spark Plumbing"
    assert found.creation_date == dt.datetime(2026, 11, 23, tzinfo=dt.UTC)


def test_the_same_facts_give_the_same_bytes_on_every_thread() -> None:
    with ThreadPoolExecutor(4) as pool:
        drawn = set(pool.map(pdf.draw, [INVOICE] * 12))

    assert len(drawn) == 1
    assert pdf.draw(replace(INVOICE, number="INV-0043")) not in drawn


def test_all_letters_come_from_our_own_fonts() -> None:
    fonts = set()
    for page in PdfReader(io.BytesIO(pdf.draw(INVOICE))).pages:
        fonts |= {font.get_object()["/BaseFont"] for font in page["/Resources"]["/Font"].values()}

    assert {name.split("+")[1].split("-")[0] for name in fonts} == {"Inter", "InterDisplay"}


def test_eighty_lines_flow_with_the_head_repeated_and_the_pages_counted() -> None:
    drawn = pages(pdf.draw(replace(INVOICE, lines=some_lines(80))))

    assert len(drawn) > 2
    for number, text in enumerate(drawn, start=1):
        assert f"Page {number} of {len(drawn)}" in text
        assert "Unit price" in text or "Row" not in text
    assert all(f"Row{i}." in " ".join(drawn) for i in range(80))


@pytest.mark.parametrize("count", range(14, 24))
def test_the_total_is_never_left_alone_on_a_page(count: int) -> None:
    drawn = pages(pdf.draw(replace(INVOICE, lines=some_lines(count), title="")))
    [totals] = [text for text in drawn if "Total AUD" in text]

    assert f"Row{count - 1}." in totals
    assert "Subtotal" in totals


def test_a_document_without_lines_or_any_optional_fact_is_still_drawn() -> None:
    for kind in KINDS:
        bare = DocumentFacts(
            kind, "X-1", "", INVOICE.issued, None, "AUD", PartyFacts("M"), CompanyFacts("B")
        )
        assert archived(pdf.draw(bare))


def test_a_credit_is_no_bill() -> None:
    credit = replace(
        INVOICE, lines=(LineFacts("Returned valve", Decimal(-2), "each", Decimal(40), Decimal(10)),)
    )
    text = words(credit)

    assert "Credit note" in text and "In your favour -$88.00" in text
    assert "How to pay" not in text and "Amount due" not in text


def test_only_a_company_that_charges_tax_writes_a_tax_invoice() -> None:
    untaxed = replace(INVOICE, lines=(LineFacts("Labour", unit_price=Decimal(50)),))

    assert "Tax invoice" not in words(untaxed)
    assert "Tax invoice" not in words(branded(tax_number=""))


def test_rates_that_differ_are_shown_on_each_line() -> None:
    mixed = replace(INVOICE, lines=(*INVOICE.lines, LineFacts("Permit", unit_price=Decimal(50))))

    assert "Unit price GST Amount" in words(mixed)
    assert "Unit price GST Amount" not in words(INVOICE)


@pytest.mark.parametrize(
    "typed",
    [
        '#import "x"',
        '#panic("no")',
        "#{sys.inputs}",
        "*bold* _it_ $x^2$ @ref <label>",
        "\\ back \\u{41}",
        "// comment /* more */",
        "= heading",
        '"quoted" `raw` ]])}',
    ],
)
def test_what_people_type_is_printed_and_never_run(typed: str) -> None:
    facts = replace(
        INVOICE,
        number=typed,
        title=typed,
        notes=typed,
        reference=typed,
        party=PartyFacts(typed, typed, (typed,), typed, typed),
        site_lines=(typed,),
        lines=(LineFacts(typed, unit=typed),),
        company=CompanyFacts(typed, typed, typed, typed, (typed,), bank_lines=(typed,)),
    )
    drawn = pdf.draw(facts)

    assert archived(drawn)
    assert "".join(typed.split()) in "".join(pages(drawn)[0].split())


@pytest.mark.parametrize(
    "name", ["李明", "שרה לוי", "محمد علي", "Đặng Văn Lâm", "Zoë Müller-Łukasz", "김민수"]
)
def test_a_customer_of_any_script_is_printed_with_our_own_fonts(name: str) -> None:
    assert archived(pdf.draw(replace(INVOICE, party=PartyFacts(name))))


@pytest.mark.parametrize("sign", ["🔧", "😀", "👍🏽", "👩\u200d🔧", "🇦🇺", "❤️", "1️⃣", "✓", "🚿💧"])
def test_an_emoji_is_printed_and_the_archive_keeps_it(sign: str) -> None:
    title = f"Leak {sign} mended"
    assert archived(pdf.draw(replace(INVOICE, title=title, notes=title)))


@pytest.mark.parametrize(
    "name", ["Mary \U00013000", "\x00\x07\ud83d\ude00", "\ufffe\ufdd0", "a\u202eb", "\r\n"]
)
def test_letters_that_no_font_has_do_not_stop_a_document(name: str) -> None:
    assert pdf.draw(replace(INVOICE, party=PartyFacts(name))).startswith(b"%PDF")


def test_a_word_longer_than_the_page_breaks_inside() -> None:
    line = LineFacts("https://example.example/" + "x" * 300, unit_price=Decimal(7))
    text = words(replace(INVOICE, lines=(line,)))

    assert text.count("x") >= 300
    assert "$7.00" in text


def test_typed_line_breaks_stay() -> None:
    drawn = pdf.draw(replace(INVOICE, lines=(LineFacts("First\r\nSecond"),)))
    text = PdfReader(io.BytesIO(drawn)).pages[0].extract_text()

    assert "First\nSecond" in text or "First \nSecond" in text


def test_a_price_of_a_fraction_of_a_cent_is_shown_in_full() -> None:
    clip = LineFacts("Clip", Decimal(1000), "each", Decimal("0.0125"), Decimal(10))

    assert "$0.0125 $12.50" in words(replace(INVOICE, lines=(clip,)))


@pytest.mark.parametrize(
    "logo",
    [
        a_picture((1600, 200)),
        a_picture((90, 1200), fmt="JPEG"),
        a_picture((300, 300), mode="L"),
        a_picture((300, 100), mode="P", fmt="GIF"),
        a_picture((300, 100), mode="1"),
        a_picture((1, 1)),
    ],
)
def test_a_logo_of_any_shape_fits_and_is_described(logo: bytes) -> None:
    drawn = pdf.draw(branded(logo=logo, logo_mime="image/png"))

    assert archived(drawn)
    assert len(pages(drawn)) == 1
    assert b"/Figure" in drawn or len(PdfReader(io.BytesIO(drawn)).pages[0].images) == 1


def test_a_photo_straight_from_a_phone_does_not_swell_every_mail() -> None:
    photo = io.BytesIO()
    Image.effect_noise((4000, 3000), 8).save(photo, "JPEG", quality=95)

    assert len(photo.getvalue()) > 3_000_000
    assert len(pdf.draw(branded(logo=photo.getvalue()))) < 600_000


@pytest.mark.parametrize("logo", [b"", b"not a picture", a_picture((50, 50))[:60], b"<svg/>"])
def test_a_broken_logo_is_named_and_never_left_out_in_silence(logo: bytes) -> None:
    if not logo:
        assert archived(pdf.draw(branded(logo=logo)))
        return
    with pytest.raises(pdf.DrawingProblem, match="logo cannot be read"):
        pdf.draw(branded(logo=logo))


@pytest.mark.parametrize("accent", ["#ffffff", "#000000", "#ffff00", "#777777", "nonsense"])
def test_any_accent_can_be_drawn(accent: str) -> None:
    assert archived(pdf.draw(branded(accent=accent)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_process_forked_after_drawing_is_told_so_instead_of_hanging() -> None:
    pdf.draw(INVOICE)
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        try:
            pdf.draw(INVOICE)
        except RuntimeError:
            os._exit(7)
        os._exit(0)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 7


def test_each_font_is_the_file_that_was_released_and_keeps_its_licence() -> None:
    parts = json.loads((pdf.FONTS / "manifest.json").read_text())
    hashes = {name: digest for part in parts for name, digest in part["sha256"].items()}
    licences = {part["license_file"] for part in parts}

    assert {path.name for path in pdf.FONTS.iterdir()} == {*hashes, *licences, "manifest.json"}
    for name, digest in hashes.items():
        assert hashlib.sha256((pdf.FONTS / name).read_bytes()).hexdigest() == digest


def test_the_first_page_has_a_picture_for_screens_that_show_no_pdf() -> None:
    for facts in (INVOICE, replace(INVOICE, lines=some_lines(80))):
        assert pdf.first_page(facts).startswith(b"\x89PNG")
    assert pdf.first_page(INVOICE) != pdf.first_page(replace(INVOICE, number="INV-0043"))


def test_a_picture_of_the_longest_document_costs_no_more_than_of_a_page() -> None:
    heavy = tuple(replace(one, description="word " * 400) for one in some_lines(200))
    tall = replace(INVOICE.lines[0], description="a\n" * 1000)
    pdf.first_page(INVOICE)
    for lines in (heavy, (tall,) * 200):
        facts = replace(INVOICE, lines=lines, notes="note\n\n" * 800)
        began = time.process_time()
        assert pdf.first_page(facts).startswith(b"\x89PNG")
        assert time.process_time() - began < 1
        shown = pdf._cut_short(pdf.sheet(facts))
        assert not shown["whole"]
        assert shown["totals"] == pdf.sheet(facts)["totals"]
        assert sum(len(one["description"]) for one in shown["lines"]) < 15_000
