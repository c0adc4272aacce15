"""Lists of documents: narrowed by their address, shown as each person likes, ticked for a batch."""

import datetime as dt
from typing import Any

import pytest
from bs4 import BeautifulSoup
from flask import Flask
from sqlalchemy import select, update

from portal.accounts import User
from portal.documents import Document
from portal.extensions import db
from portal.places import Branch, Region
from tests.factories import asked, contact, document, office_mailbox, olive, tom
from tests.visitor import Visitor, said, visitor

LIST = "/documents/invoice"


@pytest.fixture
def manager(app: Flask) -> Visitor:
    """Olive, in the office."""
    return visitor(app, olive)


def parsed(answer: Any) -> BeautifulSoup:
    return BeautifulSoup(answer.text, "html.parser")


def listed(who: Visitor, address: str) -> list[str]:
    """The numbers on a page of a list."""
    return [link.text for link in parsed(who.get(address)).select("a.whole.number")]


def heads(who: Visitor, address: str = LIST) -> list[str]:
    return [head.text for head in parsed(who.get(address)).select("thead th")][1:]


def kept_by_olive(app: Flask) -> dict[str, list[str]]:
    with app.app_context():
        return db.session.scalars(select(User).where(User.name == "Olive Park")).one().displays


def chips(who: Visitor, address: str) -> dict[str, str]:
    """What a list is narrowed to, and where taking each of it away leads."""
    return {one.text: str(one["href"]) for one in parsed(who.get(address)).select(".chip.on")}


def write_three(app: Flask) -> tuple[int, int]:
    """INV-0001 of Newcastle could not be sent; INV-0002 has nobody to go to; INV-0003 waits."""
    with app.app_context():
        newcastle = Branch(name="Newcastle", region=Region(name="North"))
        db.session.add(newcastle)
        db.session.commit()
        one = document(number="INV-0001")
        document(number="INV-0002", contact=contact(business="Harbour Strata Management"))
        document(number="INV-0003")
        one.email_status, one.branch_id, one.issued = "refused", newcastle.id, dt.date(2026, 10, 5)
        db.session.execute(
            update(Document).where(Document.number != "INV-0001").values(branch_id=None)
        )
        db.session.commit()
        return newcastle.id, newcastle.region_id


def test_filters_live_in_the_address_and_are_taken_away_one_by_one(
    app: Flask, manager: Visitor
) -> None:
    branch, region = write_three(app)
    address = f"{LIST}?branch_id={branch}&region_id={region}&email_status=refused&email_status=n/a"
    assert listed(manager, address) == ["INV-0001"]
    found = chips(manager, address)
    assert set(found) == {"Region North", "Branch Newcastle", "Could not send", "N/A"}
    assert set(chips(manager, found["N/A"])) == set(found) - {"N/A"}
    assert listed(manager, f"{LIST}?unsent=yes") == ["INV-0003", "INV-0002"]
    assert listed(manager, f"{LIST}?issued_from=2026-10-01&issued_to=2026-10-31") == ["INV-0001"]
    assert listed(manager, f"{LIST}?q=harbour") == ["INV-0002"]


@pytest.mark.sqlite_only
def test_a_month_is_one_press_away(app: Flask, manager: Visitor) -> None:
    with app.app_context():
        document(number="INV-0001")
    months = parsed(manager.get(LIST)).select(".periods a.chip")
    assert [one.text for one in months][:2] == ["This month", "Last month"] and len(months) == 4
    this_month = str(months[0]["href"])
    assert chips(manager, this_month) == {"This month": LIST}


@pytest.mark.sqlite_only
def test_a_filter_that_finds_nothing_has_a_way_out(app: Flask, manager: Visitor) -> None:
    write_three(app)
    answer = manager.get(f"{LIST}?email_status=returned")
    assert "Nothing fits all of this" in said(answer)
    assert parsed(answer).select_one(f".empty a[href='{LIST}']")


@pytest.mark.sqlite_only
def test_what_an_address_says_wrongly_is_said_and_left_out(app: Flask, manager: Visitor) -> None:
    write_three(app)
    for wrong, sentence in {
        "email_status=delivered": "“delivered” is not an e-mail status.",
        "branch_id=north": "“north” is not a branch.",
        "branch_id=77": "The branch that was asked for is not there.",
        "batch_id=99999999999999999999": "is not a batch.",
        "issued_from=soon": "“soon” is not a date.",
    }.items():
        answer = manager.get(f"{LIST}?{wrong}")
        assert answer.status_code == 200 and sentence in said(answer), wrong
        assert "The list is shown without it." in said(answer)
        assert len(listed(manager, f"{LIST}?{wrong}")) == 3
    assert len(listed(manager, f"{LIST}?after=nowhere")) == 3


@pytest.mark.sqlite_only
def test_each_status_says_what_it_means_and_what_to_do(app: Flask, manager: Visitor) -> None:
    write_three(app)
    page = parsed(manager.get(LIST))
    row = next(one for one in page.select("tbody tr") if "INV-0002" in one.text)
    button = row.select_one("button.why")
    assert button and "N/A" in button.text
    words = page.find(id=button["popovertarget"])
    assert words and "There is nobody to send it to." in words.text
    assert "mark on the property who receives it" in words.text


def test_everybody_chooses_their_own_columns(app: Flask, manager: Visitor) -> None:
    with app.app_context():
        office_mailbox()
        asked(document(number="INV-0042"), tom())
    usual = heads(manager)
    assert usual[0] == "Number" and {"Invoice batch status", "E-mail status"} <= set(usual)
    chosen = ["number", "sender", "by", "customer", "nonsense", "by"]
    answer = manager.post(f"{LIST}/display", {"column": chosen, "next": f"{LIST}?q=0042"})
    assert answer.location == f"{LIST}?q=0042"
    assert heads(manager) == ["Number", "From", "Sent by", "Customer"]
    (row,) = parsed(manager.get(LIST)).select("tbody tr")
    cells = [cell.text for cell in row.select("th, td")][1:]
    assert cells == ["INV-0042", "office@brightspark.example", "Tom Baker", "Mary Lee"]
    assert heads(visitor(app, tom)) == usual
    with app.app_context():
        document("quote", number="QU-0001")
    assert "Valid until" in heads(manager, "/documents/quote")
    manager.post(f"{LIST}/display", {"column": ["number"], "usual": "yes"})
    assert heads(manager) == usual
    with app.app_context():
        assert (
            db.session.scalars(select(User).where(User.name == "Olive Park")).one().displays == {}
        )


@pytest.mark.sqlite_only
def test_a_column_moves_without_script_and_nothing_is_stored_by_it(
    app: Flask, manager: Visitor
) -> None:
    form = {"column": ["number", "total"], "order": ["number", "customer", "total"]}
    answer = manager.post(f"{LIST}/display", {**form, "move": "left:total"})
    boxes = parsed(answer).select("input[type=checkbox][name=column]")
    assert [one["value"] for one in boxes][:3] == ["number", "total", "customer"]
    assert [one["value"] for one in boxes if one.has_attr("checked")] == ["number", "total"]
    again = manager.post(f"{LIST}/display", {**form, "move": "left:number"}, htmx=True)
    assert "<html" not in again.text
    with app.app_context():
        assert (
            db.session.scalars(select(User).where(User.name == "Olive Park")).one().displays == {}
        )
    assert manager.post("/documents/receipt/display", {}).status_code == 404
    away = manager.post(f"{LIST}/display", {"next": "//elsewhere.example"})
    assert away.location == "/"


@pytest.mark.sqlite_only
def test_ticked_invoices_or_all_that_match_go_into_a_batch(app: Flask, manager: Visitor) -> None:
    branch, _ = write_three(app)
    page = parsed(manager.get(f"{LIST}?branch_id={branch}"))
    everything, ticked = page.select("form[action='/batches/filling']")
    sent = {str(one["name"]): str(one["value"]) for one in everything.select("input")}
    assert (sent["kind"], sent["all"], sent["branch_id"]) == ("invoice", "yes", str(branch))
    (box,) = page.select("tbody input[name=ids]")
    assert box["form"] == ticked["id"]
    answer = manager.post("/batches/filling", {"kind": "invoice", "ids": box["value"]})
    assert "Put 1 invoice into a batch" in said(answer)


@pytest.mark.sqlite_only
def test_a_customer_is_found_for_the_filter_and_taken(app: Flask, manager: Visitor) -> None:
    write_three(app)
    part = manager.get(f"{LIST}?customer=harb&find=yes", htmx=True)
    assert "<html" not in part.text and "Harbour Strata Management" in part.text
    radio = parsed(part).select_one("input[name=contact_id]:not([value=''])")
    assert radio
    answer = manager.get(f"{LIST}?contact_id={radio['value']}&branch_id=", htmx=True)
    assert answer.headers["HX-Push-Url"] == f"{LIST}?contact_id={radio['value']}"
    assert "INV-0002" in answer.text and "INV-0003" not in answer.text


@pytest.mark.sqlite_only
def test_the_last_month_there_is_can_be_asked_for(manager: Visitor) -> None:
    last = f"{LIST}?issued_from=9999-12-01&issued_to=9999-12-31"
    assert list(chips(manager, last)) == ["December 9999"]
