"""The office's words: for each kind, for each branch, tried on a real document while one writes."""

from typing import Any

import pytest
from bs4 import BeautifulSoup
from flask import Flask
from sqlalchemy import select

from portal.documents import mail
from portal.documents.mail import MailWording
from portal.extensions import db
from portal.places import Branch, Region
from tests import factories
from tests.visitor import Visitor, said, visitor

pytestmark = pytest.mark.sqlite_only

WORDS = {
    "subject": "Your {{ document_kind }} {{ document_number }}",
    "body": "Hi {{ sender_name }}",
    "signature": "{{ branch }}",
}


@pytest.fixture
def manager(app: Flask) -> Visitor:
    return visitor(app, factories.olive)


@pytest.fixture
def newcastle(app: Flask) -> int:
    with app.app_context():
        made = Branch(name="Newcastle", region=Region(name="North"))
        db.session.add(made)
        db.session.commit()
        return made.id


def version(page: str) -> str:
    found = BeautifulSoup(page, "html.parser").select_one("#wording [name=version]")
    assert found is not None
    return str(found["value"])


def save(who: Visitor, address: str, **changed: Any) -> Any:
    """Fill in the form as it stands now."""
    stands = {"version": version(who.get(address).text)}
    return who.post(address, {**WORDS, **stands, **changed})


def stored(app: Flask) -> list[MailWording]:
    with app.app_context():
        return list(db.session.scalars(select(MailWording).order_by(MailWording.id)))


def test_the_words_of_a_kind_are_kept_and_shown_on_a_real_document(
    app: Flask, manager: Visitor
) -> None:
    with app.app_context():
        factories.document("quote")
    assert save(manager, "/settings/wording/quote").location == "/settings/wording/quote"
    page = manager.words("/settings/wording/quote")
    assert "As QU-0001 would say it" in page
    assert "Your quote QU-0001 Hi Olive Park" in page
    assert stored(app)[0].kind == "quote"


def test_invoicing_shows_who_invoices_come_from_beside_their_words(
    app: Flask, manager: Visitor
) -> None:
    with app.app_context():
        factories.office_mailbox()
        factories.document()
    page = manager.words("/settings/invoicing")
    assert "Invoice e-mail from" in page
    assert factories.OFFICE in page
    assert "Invoice INV-0001 from Bright Spark Plumbing" in page


def test_a_preview_stores_nothing(app: Flask, manager: Visitor) -> None:
    with app.app_context():
        factories.document()
    answer = manager.post("/settings/wording/invoice/previews", WORDS, htmx=True)
    assert "Your invoice INV-0001" in said(answer)
    assert "<html" not in answer.text
    assert not stored(app)


def test_without_a_document_the_preview_says_so(manager: Visitor) -> None:
    assert "There is no enquiry yet." in manager.words("/settings/wording/enquiry")


@pytest.mark.parametrize(
    ("field", "typed", "sentence"),
    [
        ("subject", "", "Write a subject."),
        ("subject", "{{ nunber_of_document }}", "is not a placeholder"),
        ("subject", "one\ntwo", "The subject must be a single line."),
        ("body", "  ", "Write a message."),
        ("body", "{% for x in y %}", "cannot be used here"),
        ("body", "{{ total", "is opened but never closed"),
        ("signature", "{{ phone }}", "is not a placeholder"),
    ],
)
def test_words_that_cannot_be_are_told_beside_the_field(
    app: Flask, manager: Visitor, field: str, typed: str, sentence: str
) -> None:
    answer = save(manager, "/settings/wording/invoice", **{field: typed})
    assert answer.status_code == 422
    assert sentence in said(answer)
    assert f'id="{field}-error"' in answer.text
    assert WORDS["subject" if field == "body" else "body"] in answer.text
    assert not stored(app)


def test_the_words_one_began_with_come_back_when_saved(app: Flask, manager: Visitor) -> None:
    save(manager, "/settings/wording/quote")
    page = manager.get("/settings/wording/quote?shipped=1")
    assert "They count once you save them." in said(page)
    assert len(stored(app)) == 1
    with app.app_context():
        shipped = mail.shipped("quote")
    body = shipped.body.replace("\n", "\r\n")
    signature = shipped.signature.replace("\n", "\r\n")
    save(
        manager, "/settings/wording/quote", subject=shipped.subject, body=body, signature=signature
    )
    assert not stored(app)


def test_an_unknown_kind_or_branch_has_no_wording(manager: Visitor) -> None:
    assert manager.get("/settings/wording/parcel").status_code == 404
    assert manager.post("/settings/wording/parcel", WORDS).status_code == 404
    assert manager.get("/settings/wording/quote?branch=99").status_code == 404


def test_a_branchs_own_words_go_with_its_documents_and_nobody_elses(
    app: Flask, manager: Visitor, newcastle: int
) -> None:
    save(manager, f"/settings/wording/invoice?branch={newcastle}", signature="From {{ branch }}")
    with app.app_context():
        north, other = factories.document(), factories.document(number="INV-0099")
        north.branch_id, other.branch_id = newcastle, None
        db.session.commit()
        db.session.expire_all()
        assert mail.filled(north.facts(), "Tom Baker").body == "Hi Tom Baker\n\nFrom Newcastle"
        assert mail.filled(other.facts(), "Tom Baker").body.startswith("Hi Mary,")


def test_a_branch_without_own_words_follows_every_branchs(
    app: Flask, manager: Visitor, newcastle: int
) -> None:
    save(manager, "/settings/wording/invoice", subject="Bill {{ document_number }}")
    with app.app_context():
        assert mail.templates("invoice", newcastle).subject == "Bill {{ document_number }}"
    page = manager.words(f"/settings/invoicing?branch={newcastle}")
    assert "Newcastle uses the words of every branch." in page


def test_saving_a_branchs_words_as_every_branchs_lets_it_follow_again(
    app: Flask, manager: Visitor, newcastle: int
) -> None:
    address = f"/settings/wording/quote?branch={newcastle}"
    save(manager, address)
    assert len(stored(app)) == 1
    with app.app_context():
        wider = mail.templates("quote")
    save(manager, address, subject=wider.subject, body=wider.body, signature=wider.signature)
    assert not stored(app)


def test_two_people_writing_the_same_words_lose_nothing(app: Flask, manager: Visitor) -> None:
    opened = version(manager.get("/settings/wording/job").text)
    save(manager, "/settings/wording/job", subject="Theirs {{ document_number }}")
    mine = {**WORDS, "subject": "Mine {{ document_number }}", "version": opened}
    answer = manager.post("/settings/wording/job", mine)
    assert answer.status_code == 422
    assert "Olive Park changed this" in said(answer)
    assert "Theirs {{ document_number }}" in said(answer)
    assert "Mine {{ document_number }}" in answer.text
    again = {**mine, "version": version(answer.text)}
    assert manager.post("/settings/wording/job", again).status_code == 303
    assert stored(app)[0].subject == "Mine {{ document_number }}"
