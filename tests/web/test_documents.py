"""Documents are listed, written, changed, printed, and carry files; bad input loses nothing."""

import io
import re
import zipfile
from decimal import Decimal
from typing import Any

import pytest
from bs4 import BeautifulSoup
from flask import Flask
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from sqlalchemy import select

from portal.documents import Document, DocumentFile, files
from portal.documents.kinds import KINDS
from portal.extensions import db
from tests.factories import (
    asked,
    branch,
    contact,
    copper,
    document,
    hill_st,
    mary,
    nia,
    office_mailbox,
    olive,
    tom,
)
from tests.visitor import Visitor, said, visitor


@pytest.fixture
def trader(app: Flask) -> Visitor:
    """Tom, at his phone."""
    return visitor(app, tom)


@pytest.fixture
def customer(app: Flask) -> int:
    with app.app_context():
        return mary().id


def written(customer: int, **changed: Any) -> dict[str, Any]:
    """The form of an invoice of $1,240.00, as a browser sends it."""
    form = {
        "number": "INV-0042",
        "contact_id": customer,
        "title": "Hot-water service",
        "issued": "2026-11-23",
        "due": "2026-12-07",
        "site": "12 Hill St\r\nNewtown",
        "reference": "",
        "notes": "",
        "lines-0-description": "Gas hot-water unit",
        "lines-0-quantity": "1",
        "lines-0-unit": "",
        "lines-0-unit_price": "$827.27",
        "lines-0-tax_rate": "10",
        "lines-1-description": "Fit new unit",
        "lines-1-quantity": "2.5",
        "lines-1-unit": "h",
        "lines-1-unit_price": "120",
        "lines-1-tax_rate": "10",
    }
    return form | changed


def stored(app: Flask) -> list[Document]:
    with app.app_context():
        return list(db.session.scalars(select(Document).order_by(Document.id)).unique())


def field(page: str, name: str) -> str:
    """What a field of a page holds."""
    found = BeautifulSoup(page, "html.parser").find(attrs={"name": name})
    assert found is not None, f"no field {name}"
    return str(found.get("value", "") if found.name == "input" else found.text.lstrip("\r\n"))


def test_an_invoice_is_written_as_it_was_meant(app: Flask, trader: Visitor, customer: int) -> None:
    answer = trader.post("/documents/invoice", written(customer))
    assert answer.status_code == 303
    (one,) = stored(app)
    assert answer.location == f"/documents/{one.id}"
    assert (one.number, one.total, one.site) == ("INV-0042", Decimal(1240), "12 Hill St\nNewtown")
    assert [(line.quantity, line.unit) for line in one.lines] == [(1, ""), (Decimal("2.5"), "h")]
    shown = trader.words(answer.location)
    assert "INV-0042 is saved." in shown
    assert "Pending" in shown and "$1,240.00" in shown and "Tom Baker" in shown


@pytest.mark.sqlite_only
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_kind_has_its_list_its_form_and_its_paper(
    app: Flask, trader: Visitor, customer: int, kind: Any
) -> None:
    assert f"No {kind.plural.lower()} yet" in trader.words(f"/documents/{kind.slug}")
    form = trader.get(f"/documents/{kind.slug}/new").text
    assert field(form, "number") == kind.number(1)
    assert ('name="lines-0-unit_price"' in form) == kind.priced
    assert ('name="due"' in form) == bool(kind.due_label)
    answer = trader.post(f"/documents/{kind.slug}", written(customer, number=kind.number(1)))
    paper = trader.get(f"{answer.location}/paper.pdf")
    assert paper.data.startswith(b"%PDF-") and paper.mimetype == "application/pdf"
    assert paper.headers["Content-Disposition"].startswith("inline")
    assert "frame-ancestors 'self'" in paper.headers["Content-Security-Policy"]
    kept = trader.get(f"{answer.location}/paper.pdf?download=1").headers["Content-Disposition"]
    assert kept == f"attachment; filename={kind.number(1)}.pdf"
    assert kind.number(1) in trader.words(f"/documents/{kind.slug}")


@pytest.mark.sqlite_only
def test_a_kind_that_is_none_is_not_found(trader: Visitor) -> None:
    for path in ("/documents/receipt", "/documents/receipt/new", "/documents/77"):
        assert trader.get(path).status_code == 404
    assert trader.post("/documents/receipt", {}).status_code == 404


@pytest.mark.sqlite_only
def test_an_address_that_only_answers_a_button_says_so(trader: Visitor, paper: int) -> None:
    answer = trader.get(f"/documents/{paper}/files")
    assert answer.status_code == 405
    assert "That page only answers a button Go back and press it again." in said(answer)


BAD = {
    "lines-0-unit_price": {
        "abc": "“abc” is not an amount. Write it like 1240.00.",
        "1.240,00": "“1.240,00” is not an amount. Write it like 1240.00.",
        "12,5": "“12,5” is not an amount. Write it like 1240.00.",
        "1e9": "“1e9” is not an amount. Write it like 1240.00.",
        "٣": "“٣” is not an amount. Write it like 1240.00.",
        "": "Write the price. It may be 0.",
        "999999999": "“999999999” is too large. The most is 100,000,000.",
        "0.00001": "Write at most 4 digits after the point.",
    },
    "lines-0-quantity": {
        "two": "“two” is not a number. Write it like 1.5.",
        "1,5": "“1,5” is not a number. Write it like 1.5.",
    },
    "lines-0-tax_rate": {"150": "“150” is too large. The most is 100."},
    "lines-0-description": {"": "Say what this line is for."},
    "issued": {
        "31/02/2026": "“31/02/2026” is not a date. Write it like 23/11/2026.",
        "": "Write the date.",
        "0026-11-23": "The year 26 cannot be right.",
    },
    "due": {"2026-11-01": "“Due” is before the date of this document."},
    "number": {
        "": "Write a number.",
        "../42": "A number may hold letters, digits, spaces, dots and dashes",
        "INV\r\n42": "Number must be a single line.",
    },
    "title": {"x" * 201: "Title is 1 characters too long; the most is 200."},
    "notes": dict.fromkeys(
        ("bell\x07", "next\x85line", "turned \u202e round", "isolated \u2066"),
        "Notes holds a character that cannot be printed.",
    ),
}


@pytest.mark.sqlite_only
@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_said_beside_its_field_and_nothing_is_lost(
    app: Flask, trader: Visitor, customer: int, name: str
) -> None:
    for typed, sentence in BAD[name].items():
        answer = trader.post("/documents/invoice", written(customer, **{name: typed}))
        assert answer.status_code == 422, typed
        page = BeautifulSoup(answer.text, "html.parser")
        wrong = page.select_one(f"[name='{name}']")
        assert wrong and wrong.get("aria-invalid") == "true"
        beside = page.find(id=str(wrong["aria-describedby"]).split()[-1])
        assert beside and sentence in beside.get_text(" ")
        assert page.select_one(f".problems a[href='#{wrong['id']}']")
        if wrong.name == "input":
            assert str(wrong.get("value", "")).split() == typed.split()
        assert field(answer.text, "lines-1-description") == "Fit new unit"
        assert field(answer.text, "title") == (typed if name == "title" else "Hot-water service")
    assert stored(app) == []


@pytest.mark.sqlite_only
def test_the_letters_of_every_script_are_taken(app: Flask, trader: Visitor, customer: int) -> None:
    notes = "Łukasz Müller‑Øster, שלום\u200f, العربية, 李 Li, e\u0301, ½ “so” – 👩🏽\u200d🔧"
    assert trader.post("/documents/invoice", written(customer, notes=notes)).status_code == 303
    (kept,) = stored(app)
    assert kept.notes == notes


AMOUNTS = {
    "1240": "1240",
    "1,240.00": "1240",
    "$1,240.5": "1240.5",
    "1 240.00": "1240",
    "-50": "-50",
    "−$50": "-50",
    ".5": "0.5",
    "AUD 12": "12",
}


@pytest.mark.sqlite_only
def test_amounts_are_read_as_people_write_them(app: Flask, trader: Visitor, customer: int) -> None:
    for number, typed in enumerate(AMOUNTS):
        form = written(customer, number=f"INV-{number}", **{"lines-0-unit_price": typed})
        assert trader.post("/documents/invoice", form).status_code == 303, typed
    read = [one.lines[0].unit_price for one in stored(app)]
    assert read == [Decimal(meant) for meant in AMOUNTS.values()]


@pytest.mark.sqlite_only
def test_too_many_lines_and_too_much_money_are_refused(
    app: Flask, trader: Visitor, customer: int
) -> None:
    row = {"description": "Tap", "quantity": "1", "unit_price": "1", "tax_rate": "10"}
    many = {f"lines-{n}-{name}": value for n in range(201) for name, value in row.items()}
    answer = trader.post("/documents/invoice", written(customer) | many)
    assert "These are 201 lines; the most is 200." in said(answer)
    huge = {"lines-0-quantity": "1,000,000", "lines-0-unit_price": "100,000,000"}
    answer = trader.post("/documents/invoice", written(customer, **huge))
    assert "Together these lines come to more than an invoice can hold." in said(answer)
    assert stored(app) == []


# Whom it is for, and at which property


def part(answer: Any) -> BeautifulSoup:
    """The part of the form that says whom and where it is for."""
    found = BeautifulSoup(answer.text, "html.parser").find(id="party")
    assert found
    return BeautifulSoup(str(found), "html.parser")


def offered(answer: Any, of: str = "contact") -> list[str]:
    return [one.text.split(" ")[0] for one in part(answer).select(f"#found-{of} button")]


def held(answer: Any, name: str) -> str:
    """What a hidden field of the part holds; empty where it is not there."""
    found = part(answer).find(attrs={"name": name})
    return str(found.get("value", "")) if found else ""


def looking(**typed: Any) -> dict[str, Any]:
    """The form before anybody is chosen."""
    form = written(0, site="", **typed)
    return {name: value for name, value in form.items() if name != "contact_id"}


@pytest.mark.sqlite_only
def test_a_few_words_find_one_of_very_many(app: Flask, trader: Visitor, customer: int) -> None:
    with app.app_context():
        for number in range(30):
            contact(business=f"Zeta {number:02}", email=f"z{number}@zeta.example")
        copper()
    form = trader.get("/documents/invoice/new")
    assert len(offered(form)) == 6
    live = looking(contact_words="zeta 1", find_only="contact")
    answer = trader.post("/documents/invoice/party", live, htmx=True)
    assert "<html" not in answer.text and set(offered(answer)) == {"Zeta"}
    assert held(answer, "contact_id") == "" and held(answer, "contact_words") == "zeta 1"
    others = looking(contact_words="copper", find_only="contact")
    assert offered(trader.post("/documents/invoice/party", others, htmx=True)) == ["Copper"]
    nobody = looking(contact_words="zebra", find_only="contact")
    words = said(trader.post("/documents/invoice/party", nobody, htmx=True))
    assert "Nothing is found for “zebra”." in words and "New customer" in words
    assert stored(app) == []


@pytest.mark.sqlite_only
@pytest.mark.parametrize(
    "pressed",
    [{"find": "contact"}, {"enter": "1"}],
    ids=["button", "Enter"],
)
def test_finding_works_without_script_and_takes_the_only_one(
    app: Flask, trader: Visitor, customer: int, pressed: dict[str, str]
) -> None:
    form = looking(contact_words="lee", title="Burst pipe", **pressed)
    answer = trader.post("/documents/invoice", form)
    assert answer.status_code == 200 and stored(app) == []
    assert held(answer, "contact_id") == str(customer)
    assert field(answer.text, "title") == "Burst pipe"
    assert field(answer.text, "lines-1-description") == "Fit new unit"
    chosen = trader.post("/documents/invoice", looking(take=f"contact:{customer}"))
    assert held(chosen, "contact_id") == str(customer)
    back = trader.post("/documents/invoice", written(customer, change="contact"))
    assert "Mary" in offered(back) and held(back, "contact_id") == str(customer)


@pytest.mark.sqlite_only
def test_a_customers_only_property_comes_with_them_and_brings_its_site_and_branch(
    app: Flask, trader: Visitor, customer: int
) -> None:
    with app.app_context():
        where = hill_st(address="12 Hill St\nNewtown", account_manager=nia()).id
    answer = trader.post("/documents/invoice", looking(take=f"contact:{customer}"))
    assert held(answer, "property_id") == str(where)
    assert field(answer.text, "site") == "12 Hill St\nNewtown"
    words = said(answer)
    assert "Branch Newcastle" in words and "Account manager Nia Cole" in words
    assert not part(answer).select("[name=branch_id]")
    none = written(customer, property_id=where, site_of=where, contact_was=customer)
    dropped = trader.post("/documents/invoice", none | {"take": "property:0"})
    assert held(dropped, "property_id") == "" and field(dropped.text, "site") == ""
    mine = trader.post("/documents/invoice", none | {"take": "property:0", "site": "The shed"})
    assert field(mine.text, "site") == "The shed"
    assert trader.post("/documents/invoice", none).status_code == 303
    (one,) = stored(app)
    assert one.property_id == where and one.branch_id is not None
    words = trader.words(f"/documents/{one.id}")
    assert "12 Hill St Account manager Nia Cole" in words and "Newcastle, North" in words


@pytest.mark.sqlite_only
def test_a_property_goes_with_its_customer(app: Flask, trader: Visitor, customer: int) -> None:
    with app.app_context():
        where = hill_st(address="12 Hill St").id
        other = contact(business="Harbour Strata", email="office@harbour.example").id
        hill_st("9 Quay St", customer=mary(), active=False)
    was = written(
        customer, property_id=where, site_of=where, contact_was=customer, site="12 Hill St"
    )
    answer = trader.post("/documents/invoice", was | {"take": f"contact:{other}"})
    assert held(answer, "property_id") == "" and field(answer.text, "site") == ""
    wrong = trader.post("/documents/invoice", was | {"contact_id": other})
    assert wrong.status_code == 422 and stored(app) == []
    assert "12 Hill St is not a property of Harbour Strata." in said(wrong)
    given = trader.get(f"/documents/invoice/new?property={where}")
    assert held(given, "contact_id") == str(customer) and held(given, "property_id") == str(where)
    order = trader.get(f"/documents/purchase_order/new?property={where}")
    assert held(order, "contact_id") == "" and held(order, "property_id") == str(where)


PARTY = {
    "contact_id": {
        "0": "Choose who this is for.",
        "x": "Choose who this is for.",
        "99999": "Choose who this is for.",
        "gone": "Ann Wu is no longer active. Choose somebody else.",
    },
    "property_id": {
        "99999": "That property is not there any more.",
        "archived": "9 Quay St is archived. Choose another property, or none.",
    },
    "branch_id": {"99999": "Choose a branch from the list."},
}


@pytest.mark.sqlite_only
@pytest.mark.parametrize("name", PARTY)
def test_a_number_that_nobody_could_choose_is_refused_in_one_sentence(
    app: Flask, trader: Visitor, customer: int, name: str
) -> None:
    with app.app_context():
        gone = contact(first_name="Ann", last_name="Wu", email="ann@homes.example", active=False)
        archived = hill_st("9 Quay St", active=False)
        numbers = {"gone": gone.id, "archived": archived.id}
    for typed, sentence in PARTY[name].items():
        form = written(customer, **{name: numbers.get(typed, typed)})
        answer = trader.post("/documents/invoice", form)
        assert answer.status_code == 422, typed
        page = BeautifulSoup(answer.text, "html.parser")
        beside = page.find(id=f"{name}-error")
        assert beside and sentence in beside.get_text(" ")
        assert page.select_one(f".problems a[href='#{name}']") and page.find(id=name)
        assert field(answer.text, "title") == "Hot-water service"
    assert stored(app) == []


@pytest.mark.sqlite_only
def test_who_was_archived_since_stays_on_the_document_and_says_so(
    app: Flask, trader: Visitor, customer: int
) -> None:
    with app.app_context():
        where = hill_st()
        one = document(site=where).id
        where.active = mary().active = False
        db.session.commit()
        kept = {"version": "1", "property_id": where.id, "contact_was": customer}
    words = said(trader.get(f"/documents/{one}/edit"))
    assert "Inactive" in words and "Archived" in words
    assert trader.post(f"/documents/{one}", written(customer, **kept)).status_code == 303
    shown = trader.words(f"/documents/{one}")
    assert "N/A" in shown and "There is nobody to send it to." in shown
    assert "is no longer active" in shown


@pytest.mark.sqlite_only
def test_without_a_property_a_branch_is_chosen_where_there_are_branches(
    app: Flask, trader: Visitor, customer: int
) -> None:
    assert not part(trader.get("/documents/invoice/new")).select("[name=branch_id]")
    with app.app_context():
        first, second = branch("Gosford").id, branch("Wollongong", "South").id
    found = part(trader.get("/documents/invoice/new")).select("[name=branch_id] option")
    assert [one.text for one in found] == ["Gosford", "Wollongong"]
    trader.post("/documents/invoice", written(customer, branch_id=second))
    (one,) = stored(app)
    assert (one.branch_id, first) == (second, first)
    chosen = part(trader.get(f"/documents/{one.id}/edit")).select("[name=branch_id] [selected]")
    assert [one.text for one in chosen] == ["Wollongong"]


def test_a_number_belongs_to_one_document(app: Flask, trader: Visitor, customer: int) -> None:
    trader.post("/documents/invoice", written(customer))
    answer = trader.post("/documents/quote", written(customer))
    assert answer.status_code == 422
    assert "INV-0042 is already a document for Mary Lee." in said(answer)
    assert len(stored(app)) == 1
    assert field(trader.get("/documents/invoice/new").text, "number") == "INV-0043"


@pytest.mark.sqlite_only
def test_rows_come_and_go_without_script(app: Flask, trader: Visitor, customer: int) -> None:
    more = trader.post("/documents/invoice", written(customer, add="1"))
    assert more.status_code == 200
    assert field(more.text, "lines-2-tax_rate") == "10"
    less = trader.post("/documents/invoice", written(customer, drop="0"))
    assert field(less.text, "lines-0-description") == "Fit new unit"
    assert 'name="lines-1-description"' not in less.text
    assert stored(app) == []


@pytest.mark.sqlite_only
def test_rows_nobody_wrote_in_do_not_count(app: Flask, trader: Visitor, customer: int) -> None:
    blank = {"lines-7-description": " ", "lines-7-quantity": "1", "lines-7-tax_rate": "10"}
    answer = trader.post("/documents/invoice", written(customer) | blank)
    assert answer.status_code == 303
    assert len(stored(app)[0].lines) == 2


@pytest.mark.sqlite_only
def test_the_totals_follow_while_somebody_types_and_store_nothing(
    app: Flask, trader: Visitor, customer: int
) -> None:
    fresh = {"lines-5-description": "", "lines-5-quantity": "1", "lines-5-unit_price": ""}
    answer = trader.post("/documents/invoice/totals", written(customer) | fresh, htmx=True)
    assert said(answer) == "Subtotal $1,127.27 GST 10 % $112.73 Total $1,240.00 $827.27 $300.00"
    typo = written(customer, **{"lines-1-unit_price": "abc"})
    words = said(trader.post("/documents/invoice/totals", typo, htmx=True))
    assert "Total $910.00" in words
    assert "Not counted yet. Line 2: “abc” is not an amount." in words
    assert stored(app) == []


def test_a_document_is_changed(app: Flask, trader: Visitor, customer: int) -> None:
    trader.post("/documents/invoice", written(customer))
    one = stored(app)[0]
    form = trader.get(f"/documents/{one.id}/edit").text
    assert field(form, "lines-0-unit_price") == "827.27"
    assert field(form, "version") == "1"
    changed = written(customer, title="New tap", version="1")
    assert trader.post(f"/documents/{one.id}", changed).status_code == 303
    now = stored(app)[0]
    assert (now.title, now.version, now.total) == ("New tap", 2, Decimal(1240))


@pytest.mark.sqlite_only
def test_two_who_write_at_once_do_not_overwrite_each_other(
    app: Flask, trader: Visitor, customer: int
) -> None:
    trader.post("/documents/invoice", written(customer))
    one = stored(app)[0]
    address = f"/documents/{one.id}"
    visitor(app, olive).post(address, written(customer, title="Olive's", version="1"))
    mine = trader.post(address, written(customer, title="Tom's", version="1"))
    assert mine.status_code == 422
    words = said(mine)
    assert "Olive Park changed this at" in words and "Title Olive's Tom's" in words
    assert "Line 1" not in words
    assert field(mine.text, "title") == "Tom's"
    assert stored(app)[0].title == "Olive's"
    again = written(customer, title="Tom's", version=field(mine.text, "version"))
    assert trader.post(address, again).status_code == 303
    assert stored(app)[0].title == "Tom's"


@pytest.mark.sqlite_only
def test_every_difference_is_shown_to_who_comes_second(
    app: Flask, trader: Visitor, customer: int
) -> None:
    trader.post("/documents/invoice", written(customer))
    with app.app_context():
        where, other = hill_st().id, copper().id
    olives = {"version": "1", "property_id": where, "lines-1-quantity": "3", "due": "2026-12-08"}
    manager = visitor(app, olive)
    assert manager.post("/documents/1", written(customer, **olives)).status_code == 303
    shorter = {key: value for key, value in written(other).items() if "lines-1" not in key}
    answer = trader.post("/documents/1", shorter | {"version": "1"})
    page = BeautifulSoup(answer.text, "html.parser")
    told = [[cell.text for cell in row.select("th, td")] for row in page.select(".meanwhile tr")]
    assert told[1:] == [
        ["Bill to", "Mary Lee", "Copper & Co"],
        ["Property", "12 Hill St", "nothing"],
        ["Due", "8 December 2026", "7 December 2026"],
        ["Line 2", "3 h × Fit new unit, 120", "nothing"],
    ]
    # What a rearranged form shows is not yet what its writer has been told of.
    again = trader.post("/documents/1", shorter | {"version": "1", "add": "1"})
    assert field(again.text, "version") == "1"
    assert stored(app)[0].due.isoformat() == "2026-12-08"  # type: ignore[union-attr]


def without_tokens(page: str) -> str:
    """A page but for its CSRF tokens, which are others in the next second."""
    return re.sub(r'name="csrf_token" value="[^"]*"', "", page)


@pytest.mark.sqlite_only
def test_a_list_is_searched_live_at_its_own_address(app: Flask, trader: Visitor) -> None:
    with app.app_context():
        person = mary()
        for number in range(51):
            document(contact=person, number=f"INV-{number:04d}")
        document("purchase_order", contact=copper())
    part = trader.get("/documents/invoice?q=0042", htmx=True).text
    assert "<html" not in part and "INV-0042" in part and "INV-0041" not in part
    whole = trader.get("/documents/invoice?q=0042").text
    assert without_tokens(part.strip()) in without_tokens(whole)
    assert "Nothing found for “zebra”" in trader.words("/documents/invoice?q=zebra")
    first = trader.get("/documents/invoice").text
    assert "INV-0050" in first and "INV-0000" not in first
    older = BeautifulSoup(first, "html.parser").find("a", rel="next")
    assert older and "INV-0000" in trader.words(str(older["href"]))


@pytest.mark.sqlite_only
def test_the_list_and_the_page_say_what_became_of_the_mail(app: Flask, trader: Visitor) -> None:
    with app.app_context():
        office_mailbox()
        one = asked(document(number="INV-0042")).document_id
    assert "In queue" in trader.words("/documents/invoice")
    shown = trader.words(f"/documents/{one}")
    assert "In queue" in shown
    assert "Sending 1 asked for, to mary.lee@homes.example" in shown


# Files


def photo(size: tuple[int, int] = (60, 40), kind: str = "JPEG", **more: Any) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", size, "teal").save(made, kind, **more)
    return made.getvalue()


def office_file(folder: str, *names: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as packed:
        for name in ("[Content_Types].xml", f"{folder}/document.xml", *names):
            packed.writestr(name, "x")
    return made.getvalue()


@pytest.fixture
def paper(app: Flask) -> int:
    with app.app_context():
        return document(number="INV-0042").id


def attach(who: Visitor, paper: int, *given: tuple[str, bytes]) -> Any:
    form = {"files": [(io.BytesIO(content), name) for name, content in given]}
    return who.post(f"/documents/{paper}/files", form, content_type="multipart/form-data")


def attached(app: Flask) -> list[tuple[str, str]]:
    with app.app_context():
        found = db.session.scalars(select(DocumentFile).order_by(DocumentFile.id))
        return [(one.filename, one.content_type) for one in found]


def test_photos_and_papers_are_attached_fetched_and_taken_off(
    app: Flask, trader: Visitor, paper: int
) -> None:
    assert attach(trader, paper, ("scan.pdf", b"%PDF-1.7 ..."), ("tap", photo())).status_code == 303
    assert attached(app) == [("scan.pdf", "application/pdf"), ("tap.jpg", "image/jpeg")]
    assert stored(app)[0].version == 2
    words = trader.words(f"/documents/{paper}")
    assert "scan.pdf, tap.jpg are attached." in words
    assert "scan.pdf, tap.jpg attached." in words.split("What happened")[1].split("Tom Baker")[0]
    kept = trader.get(f"/documents/{paper}/files/1")
    assert kept.data == b"%PDF-1.7 ..."
    assert kept.headers["Content-Disposition"] == "attachment; filename=scan.pdf"
    assert trader.get(f"/documents/{paper + 1}/files/1").status_code == 404
    assert trader.post(f"/documents/{paper}/files/1/removal").status_code == 303
    assert attached(app) == [("tap.jpg", "image/jpeg")]
    assert "scan.pdf taken off." in trader.words(f"/documents/{paper}").split("What happened")[1]


TAKEN = {
    "image/png": photo(kind="PNG"),
    "image/webp": photo(kind="WEBP"),
    "image/heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1",
    "text/plain": "Küche".encode(),
    files.OFFICE["word/"]: office_file("word"),
    files.OFFICE["xl/"]: office_file("xl"),
}
REFUSED = {
    "“setup.pdf” cannot be attached: it is not a PDF, a photo": b"MZ\x90\0",
    "“page.txt” cannot be attached": b"<script>alert(1)</script>",
    "“logo.svg” cannot be attached": b"\xef\xbb\xbf <svg onload=x>",
    "“cut.jpg”": photo()[:40],
    "“wrong.exe” cannot be attached: it ends in .exe, but seems to be plain text.": b"Hello",
    "“photo.pdf” cannot be attached: it ends in .pdf, but seems to be a JPEG photo.": photo(),
    "“scan.JPG” cannot be attached: it ends in .jpg, but seems to be a PDF.": b"%PDF-1.7",
    "“macro.docx” cannot be attached": office_file("word", "word/vbaProject.bin"),
    "“tools.zip” cannot be attached": office_file("src"),
    "“empty.pdf” is empty.": b"",
    "“big.pdf” has 10 MB; the most is 10 MB.": b"%PDF-" + b"0" * 10 * 2**20,
}


@pytest.mark.parametrize("kind", TAKEN)
def test_what_a_file_is_is_read_from_its_bytes(kind: str) -> None:
    assert files.content_type(TAKEN[kind]) == kind


@pytest.mark.sqlite_only
def test_a_name_without_an_ending_gets_the_one_of_its_content(
    app: Flask, trader: Visitor, paper: int
) -> None:
    names = {
        "tap": "tap.jpg",
        "Job 3. March": "Job 3. March.jpg",
        "tap.2026": "tap.2026.jpg",
        "tap.png": "tap.jpg",  # as chats save them
        "TAP.JPEG": "TAP.JPEG",
    }
    for name in names:
        assert attach(trader, paper, (name, photo())).status_code == 303, name
    assert [one for one, _ in attached(app)] == list(names.values())


@pytest.mark.sqlite_only
def test_a_file_that_cannot_travel_is_refused_in_one_sentence(
    app: Flask, trader: Visitor, paper: int
) -> None:
    for sentence, content in REFUSED.items():
        name = sentence[1:].split("”")[0]
        answer = attach(trader, paper, ("good.pdf", b"%PDF-1.7"), (name, content))
        assert answer.status_code == 422, name
        assert sentence in said(answer)
    assert "Choose a file first." in said(attach(trader, paper))
    assert attached(app) == []


@pytest.mark.sqlite_only
def test_files_together_must_fit_into_a_mail(app: Flask, trader: Visitor, paper: int) -> None:
    eight = b"%PDF-" + b"0" * 8 * 2**20
    attach(trader, paper, ("1.pdf", eight), ("2.pdf", eight))
    answer = attach(trader, paper, ("3.pdf", eight))
    assert "Together the files would come to 24 MB; a mail carries 20 MB." in said(answer)
    assert len(attached(app)) == 2


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
@pytest.mark.parametrize("turned", [1, 6])
def test_a_picture_loses_where_it_was_taken_and_nothing_of_itself(kind: str, turned: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turned
    exif[0x013B] = "Tom the photographer"
    exif.get_ifd(0x8825)[1] = "S"
    words = PngInfo()
    words.add_text("Comment", "at 33.8 south")
    written = {"PNG": {"pnginfo": words}, "WEBP": {"xmp": b"<x>at 33.8 south</x>"}}[kind]
    given = photo(kind=kind, exif=exif, **written) + b"and more"
    kept = files._file("site." + kind.lower(), given).content
    for trace in (b"Tom", b"33.8", b"and more"):
        assert trace in given and trace not in kept
    with Image.open(io.BytesIO(given)) as before, Image.open(io.BytesIO(kept)) as after:
        after.load()
        assert before.tobytes() == after.tobytes()
        assert after.getexif().get(0x0112, 1) == turned
        assert not after.getexif().get_ifd(0x8825)
    with pytest.raises(files.BadFile):
        files._file("cut." + kind.lower(), given[:60])


@pytest.mark.sqlite_only
def test_a_photo_gets_smaller_and_loses_where_it_was_taken(app: Flask) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the phone was held upright
    exif.get_ifd(0x8825)[1] = "S"
    given = photo((5000, 3000), exif=exif)
    with app.app_context():
        one = document()
        files.attach(one, [("/tmp/site\u202e.jpg", given)], tom())
        (kept,) = one.files
        assert kept.filename == "site.jpg"
        with Image.open(io.BytesIO(kept.content)) as smaller:
            assert smaller.size == (1440, 2400)
            assert not smaller.getexif()


@pytest.mark.sqlite_only
def test_whom_and_where_an_address_brings_stand_on_the_form_unsaved(app: Flask) -> None:
    with app.app_context():
        number, where = document(author=tom(), number="INV-0042").id, hill_st()
        customer, place = where.customer_id, where.id
    trader = visitor(app, tom)
    for path in (f"/documents/{number}/edit", "/documents/invoice/new"):
        page = BeautifulSoup(trader.get(f"{path}?property={place}").text, "html.parser")
        for name, chosen in (("contact_id", customer), ("property_id", place)):
            field = page.select_one(f"input[name={name}]")
            assert field and field["value"] == str(chosen) and "data-given" in field.attrs, path
        assert trader.get(f"{path}?contact=99999999999&property=x").status_code == 200
    with app.app_context():
        kept = db.session.get(Document, number)
        assert kept and kept.property_id is None
