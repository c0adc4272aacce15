"""The pages on which somebody agrees that mail leaves under their address, or does not."""

import pytest
from flask import Flask
from sqlalchemy import select

from portal import links
from portal.dispatch import Dispatch
from portal.extensions import db
from portal.links import Purpose
from portal.senders import Said
from tests.factories import office_mailbox, olive, person, tom
from tests.visitor import said, visitor
from tests.web.test_users import Guest

pytestmark = pytest.mark.sqlite_only


@pytest.fixture
def link(app: Flask) -> str:
    """The address of the question to Lou, who was not asked before."""
    with app.app_context():
        office_mailbox(lou="accepted")
        who = person("lou", "Lou Reed", agrees=False)
        return f"/links/consent/{links.make(Purpose.CONSENT, who, olive())}"


def lous_answer(app: Flask) -> str:
    with app.app_context():
        return person("lou", "Lou Reed").consent


@pytest.mark.parametrize(
    ("answer", "words", "kept"),
    [
        ("yes", "Thank you: you agreed", Said.AGREED),
        ("no", "Nothing leaves under your address", Said.REFUSED),
    ],
)
def test_the_mails_link_takes_an_answer_without_a_password(
    app: Flask, link: str, answer: str, words: str, kept: Said
) -> None:
    guest = Guest(app)
    page = guest.get(link)
    assert "Lou Reed" in said(page)
    assert lous_answer(app) == ""  # a mail program that looks ahead answers nothing
    assert guest.post(link, {"answer": "maybe"}).status_code == 422
    assert words in said(guest.post(link, {"answer": answer}))
    assert lous_answer(app) == kept
    again = guest.get(link)
    assert again.status_code == 410 and "used before" in said(again)


def test_the_manager_cannot_answer_with_it(app: Flask, link: str) -> None:
    manager = visitor(app, olive)
    for answer in (manager.get(link), manager.post(link, {"answer": "yes"})):
        assert answer.status_code == 410 and "This link is for Lou Reed" in said(answer)
    assert lous_answer(app) == ""


def test_tom_takes_it_back_and_agrees_again_in_his_settings(app: Flask, link: str) -> None:
    toms = visitor(app, tom)
    assert "You agreed to it" in said(toms.get("/profile"))
    toms.post("/profile/consent", {"answer": "no"})
    page = said(toms.get("/profile"))
    assert "You took back that mail may leave" in page and "There are two ways" not in page
    toms.post("/profile/consent", {"answer": "yes"})
    assert "You agreed to it" in said(toms.get("/profile"))


def test_the_office_sees_who_was_asked_and_never_the_link(app: Flask, link: str) -> None:
    manager = visitor(app, olive)
    assert "Asked" in said(manager.get("/people"))
    with app.app_context():
        max_id = person("max", "Max Hill", agrees=False).id
    assert "Ask whether they agree" in said(manager.get(f"/people/{max_id}"))
    page = manager.post(f"/people/{max_id}/consent")
    after = manager.get(page.location)
    assert "Max Hill is asked by a mail" in said(after) and "/links/consent/" not in after.text
    with app.app_context():
        mail = db.session.scalars(select(Dispatch).order_by(Dispatch.id.desc())).first()
        assert mail is not None and "/links/consent/" in mail.body
        number = mail.id
    assert "/links/consent/" not in manager.get(f"/dispatches/{number}").text
    assert manager.post(f"/people/{max_id}/links/consent").status_code == 404
