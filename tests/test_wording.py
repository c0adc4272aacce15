"""The words of a mail: what the office may write, what it may not, and what the customer reads."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from decimal import Decimal

import html5lib
import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from portal.documents import wording
from portal.documents.facts import CompanyFacts, DocumentFacts, LineFacts, PartyFacts
from portal.documents.kinds import KINDS
from portal.documents.wording import WordingProblem

BRIGHT_SPARK = CompanyFacts(
    name="Bright Spark Plumbing",
    address_lines=("14 Foundry Lane", "Marrickville NSW 2204"),
    phone="(02) 5550 0142",
    website="brightspark.example",
    accent="#0b6e8f",
)
INVOICE = DocumentFacts(
    kind="invoice",
    number="INV-0042",
    title="New hot water unit",
    issued=dt.date(2026, 11, 23),
    due=dt.date(2026, 12, 7),
    currency="AUD",
    party=PartyFacts("Mary Lee"),
    company=BRIGHT_SPARK,
    site_lines=("8 Acacia Street", "Newtown NSW 2042"),
    lines=(
        LineFacts("Hot water unit", Decimal(1), "each", Decimal("1127.27"), tax_rate=Decimal(10)),
    ),
)


def rendered(template: str, facts: DocumentFacts = INVOICE) -> str:
    return wording.render(template, facts, "Olive Park")


def soup(text: str, facts: DocumentFacts = INVOICE) -> BeautifulSoup:
    return BeautifulSoup(wording.html_body(text, facts, "Olive Park"), "html5lib")


def test_marys_invoice_greets_her_and_names_what_is_due() -> None:
    subject = wording.render_subject(wording.default_subject("invoice"), INVOICE, "Olive Park")
    body = rendered(wording.letter(wording.default_body("invoice"), wording.default_signature()))

    assert subject == "Invoice INV-0042 from Bright Spark Plumbing"
    assert body.startswith("Hi Mary,\n\n")
    assert "INV-0042 for $1,240.00 is attached, due on 7 December 2026." in body
    assert body.endswith("Kind regards,\nOlive Park\nBright Spark Plumbing")


@pytest.mark.parametrize("kind", KINDS)
def test_the_shipped_wording_of_every_kind_reads_well_with_and_without_the_optional_facts(
    kind: str,
) -> None:
    full = replace(INVOICE, kind=kind)
    bare = replace(full, due=None, site_lines=(), title="")

    for facts in (full, bare):
        subject = wording.render_subject(wording.default_subject(kind), facts, "")
        letter = wording.letter(wording.default_body(kind), wording.default_signature())
        body = wording.render(letter, facts, "")
        assert "INV-0042" in subject
        assert not re.search(r"\{|\}|None| {2,}|\n{3,}| [.,]|“”", subject + body)
        assert body.endswith("Kind regards,\nBright Spark Plumbing")


def test_a_document_without_prices_has_no_total_to_tell() -> None:
    assert rendered("[{{ total }}]", replace(INVOICE, kind="job")) == "[]"


@pytest.mark.parametrize(
    ("name", "greeting"),
    [
        ("Mary Lee", "Mary"),
        ("Mary", "Mary"),
        ("Mrs Mary Lee", "Mrs Lee"),
        ("Dr. Lee", "Dr. Lee"),
        ("Copper & Co", "Copper & Co"),
        ("Newtown Strata Pty Ltd", "Newtown Strata Pty Ltd"),
        ("Mary Ann van der Lee", "Mary Ann van der Lee"),
    ],
)
def test_people_are_greeted_by_first_name_and_firms_by_their_own(name: str, greeting: str) -> None:
    assert wording.first_name(name) == greeting


def test_the_person_to_the_attention_of_whom_it_goes_is_greeted_before_the_firm() -> None:
    order = replace(INVOICE, party=PartyFacts("Copper & Co", attention="Ravi Shah"))

    assert rendered("{{ customer_first_name }} at {{ customer_name }}", order) == (
        "Ravi at Copper & Co"
    )


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        (
            "Dear {{ custmer_name }}",
            "{{ custmer_name }} is not a placeholder; did you mean {{ customer_name }}?",
        ),
        (
            "{{ customer.name }}",
            "{{ customer.name }} is not a placeholder; did you mean {{ customer_name }}?",
        ),
        ("{{ zzz }}", "{{ zzz }} is not a placeholder; choose one from the list."),
        ("{% if false %}{{ zzz }}{% endif %}", "{{ zzz }} is not a placeholder"),
        ("{{ total | shout }}", "“shout” after a bar is not known"),
        ("{{ total", "opened but never closed"),
        ("{% if total %}Hello", "opened but never closed"),
        ("{{ total total }}", "not written in a way that can be read"),
        ("{% if total > 3 %}much{% endif %}", "not written in a way that can be read"),
        ("x" * (wording.MAX_TEMPLATE + 1), "longer than 10,000 characters"),
    ],
)
def test_a_slip_gets_one_clear_sentence(template: str, sentence: str) -> None:
    with pytest.raises(WordingProblem, match=re.escape(sentence)) as problem:
        wording.check(template) if "> 3" not in template else rendered(template)
    assert "\n" not in str(problem.value)


@pytest.mark.parametrize(
    "template",
    [
        "{% for i in (1..1000000000) %}x{% endfor %}",
        "{%- tablerow i in (1..1000000000) %}x{% endtablerow %}",
        "{% liquid\nfor i in (1..1000000000)\necho i\nendfor %}",
        "{% assign a = total %}",
        "{% capture a %}{{ total }}{% endcapture %}",
        "{% include 'mail.html' %}",
        "{% render 'mail.html' %}",
        "{% if (1..1000000000) contains 'a' %}x{% endif %}",
        "{{ (1..1000000000) }}",
        "{{" * 5_000,
        "{%" * 5_000,
        "{% if total %}" * 150 + "{% endif %}" * 50,
        "{{ " + "9" * 9_000 + " }}",
        "{{ 'aaaa' | replace: 'a', 'aaaa' | replace: 'a', 'aaaa' }}",
        "{{ " + "total[" * 900 + "total" + "]" * 900 + " }}",
    ],
)
def test_a_hostile_template_is_refused(template: str) -> None:
    with pytest.raises(WordingProblem):
        rendered(template)


def test_a_text_that_grows_without_end_is_refused() -> None:
    longwinded = replace(INVOICE, title="long " * 200)

    with pytest.raises(WordingProblem, match="longer than 30,000 characters"):
        rendered("{{ title }}" * 100, longwinded)


@given(st.text(alphabet="{}%|.()[]'\"=<> \nabif_total019#-", max_size=60))
def test_whatever_is_typed_is_either_used_or_refused(template: str) -> None:
    try:
        text = rendered(template)
    except WordingProblem as problem:
        assert str(problem)
    else:
        assert isinstance(text, str)


def test_what_a_customer_is_called_is_never_read_as_a_template() -> None:
    sly = replace(INVOICE, party=PartyFacts("{{ total }}{% for %}"))

    assert rendered("Dear {{ customer_name }}", sly) == "Dear {{ total }}{% for %}"


@pytest.mark.parametrize("breaker", ["\r\n", "\n", "\r", "\u2028", "\x85", "\x0b", "\x00"])
def test_no_value_can_break_a_line_and_add_a_header(breaker: str) -> None:
    sly = replace(INVOICE, title=f"Tap{breaker}Bcc: everyone@elsewhere.example")

    subject = wording.render_subject("{{ title }}", sly, "Olive Park")

    assert subject == "Tap Bcc: everyone@elsewhere.example"
    assert len(rendered("{{ title }}", sly).splitlines()) == 1


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("Invoice\nBcc: x", "must be a single line"),
        ("  {{ site }} ", "comes out empty"),
        ("{{ title }}" * 30, "the most is 200"),
    ],
)
def test_a_subject_is_one_line_that_says_something(template: str, sentence: str) -> None:
    with pytest.raises(WordingProblem, match=sentence):
        wording.render_subject(template, replace(INVOICE, site_lines=()), "Olive Park")


def test_the_html_twin_says_the_same_words_and_shows_the_figures() -> None:
    body = rendered(wording.default_body("invoice"))
    page = soup(body)

    assert [line for line in body.split("\n") if line] == [
        line.strip()
        for part in page.select("p.text")
        for line in part.get_text().split("\n")
        if line.strip()
    ]
    assert [row.get_text(" ", strip=True) for row in page.select("table.card tr")] == [
        "Invoice INV-0042",
        "Total $1,240.00",
        "Due 7 December 2026",
    ]
    assert "Sent by Olive Park for Bright Spark Plumbing" in page.get_text()


@pytest.mark.parametrize(
    ("kind", "labels"),
    [
        ("quote", ["Quote", "Total", "Valid until"]),
        ("purchase_order", ["Purchase order", "Total", "Deliver by"]),
        ("job", ["Job", "Scheduled for"]),
        ("enquiry", []),
    ],
)
def test_the_card_shows_what_the_kind_has_to_show(kind: str, labels: list[str]) -> None:
    page = soup("Hello", replace(INVOICE, kind=kind))

    assert [label.get_text() for label in page.select("table.card th")] == labels


def test_the_html_twin_is_sound_and_asks_nothing_of_the_network() -> None:
    text = wording.html_body("Hello", INVOICE, "Olive Park")
    parser = html5lib.HTMLParser(strict=True)

    parser.parse(text)
    assert not re.search(r"<(img|script|link|iframe)\b|url\(|@import|\bsrc=", text)


def test_what_people_type_is_shown_and_never_run() -> None:
    sly = replace(INVOICE, company=replace(BRIGHT_SPARK, name="<script>x</script>"))
    page = soup("<img src=x onerror=alert(1)>\n\n& so on", sly)

    assert not page.find_all(["script", "img"])
    assert page.select("p.text")[0].get_text() == "<img src=x onerror=alert(1)>"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (
            "Pay at https://brightspark.example/pay?a=1&b=2.",
            "https://brightspark.example/pay?a=1&b=2",
        ),
        ("(see https://x.example/a_(b))", "https://x.example/a_(b)"),
        ("https://x.example, thanks", "https://x.example"),
        ("https://… and javascript:alert(1)", None),
        ("http://[", None),
        ('https://x.example/"onmouseover="alert(1)', "https://x.example/"),
    ],
)
def test_a_bare_web_address_becomes_a_link_and_nothing_else_does(
    text: str, address: str | None
) -> None:
    links = soup(text).select("p.text a")

    assert [link["href"] for link in links] == ([address] if address else [])
    assert soup(text).select_one("p.text").get_text() == text  # type: ignore[union-attr]


def test_a_website_that_is_no_web_address_is_not_made_a_link() -> None:
    page = soup("Hello", replace(INVOICE, company=replace(BRIGHT_SPARK, website="javascript:x")))

    assert not page.select("a")
