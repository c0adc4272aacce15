"""The page "Did she get it?": one answer first, its reasons below, and each with what mends it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from bs4 import BeautifulSoup
from flask import Flask
from sqlalchemy import select

from portal import batches, bounces, domains
from portal.bounces import Arrival, Inbox, Standing, Tie
from portal.columns import now
from portal.dispatch import Dispatch, Proof, State
from portal.documents import Document
from portal.extensions import db
from portal.incoming import Sort
from portal.mailboxes import Mailbox
from portal.published.answers import Answer, Kind, Question
from tests import factories, servers
from tests.factories import MARY, OFFICE
from tests.visitor import Visitor, said, visitor

PAGE = "/documents/1/inquiry"
LOOK_UP = f"{PAGE}/domains"
NO_SUCH = "550 5.1.1 <mary.lee@homes.example> No such user here"


@pytest.fixture
def tom(app: Flask) -> Visitor:
    return visitor(app, factories.tom)


@pytest.fixture
def olive(app: Flask) -> Visitor:
    return visitor(app, factories.olive)


@pytest.fixture
def sent(app: Flask) -> Callable[..., int]:
    """Makes Mary's invoice, sent two days ago unless told otherwise; the id of its sending."""

    def make(state: State = State.ACCEPTED, **values: Any) -> int:
        with app.app_context():
            box = factories.office_mailbox()
            one = factories.asked()
            one.state, one.state_since = state, now() - timedelta(days=2)
            if state in (State.ACCEPTED, State.RETURNED):
                one.accepted_at = one.handed_over_at = one.state_since
                one.proof, one.proof_from = Proof.MATCHES, OFFICE
            for name, value in values.items():
                setattr(one, name, value)
            one.document.email_status = state
            db.session.add(Inbox(mailbox_id=box.id, looked_at=now(), pending=[]))
            db.session.commit()
            return one.id

    return make


def arrive(app: Flask, sending: int, sort: Sort, **known: Any) -> None:
    with app.app_context():
        one = db.session.get_one(Dispatch, sending)
        made = Arrival(mailbox_id=one.mailbox_id, provider_id=f"{sort}", sort=sort)
        made.dispatch_id, made.sender, made.sender_name = sending, MARY, "Mary Lee"
        known = {"standing": Standing.FOLLOWED, "tied_by": Tie.TOKEN, "at": now(), **known}
        for name, value in known.items():
            setattr(made, name, value)
        db.session.add(made)
        db.session.commit()


def soup(who: Visitor, address: str = PAGE) -> BeautifulSoup:
    return BeautifulSoup(who.get(address).text, "html.parser")


def buttons(page: BeautifulSoup) -> dict[str, str]:
    """The buttons under the answer: their words, and where they lead."""
    return {one.text.strip(): str(one["href"]) for one in page.select(".outcome .buttons a")}


def test_everybody_who_sees_the_document_may_ask(tom: Visitor, sent: Callable[..., int]) -> None:
    sending = sent()
    for address in ("/documents/1", f"/dispatches/{sending}"):
        links = {one.text.strip(): one.get("href") for one in soup(tom, address).select("a.btn")}
        assert links["Did Mary get it?"] == PAGE
    answer = soup(tom).select_one("[data-verdict]")
    assert answer and answer["data-verdict"] == "likely"
    assert "Most likely: Gmail accepted it" in answer.text
    assert "nothing has come back in 2 days" in answer.text


def test_the_words_for_the_phone_can_be_copied(tom: Visitor, sent: Callable[..., int]) -> None:
    sent()
    page = soup(tom)
    words = page.select_one("#phone")
    copy = page.select_one("[data-copy]")
    assert words and copy and copy["data-copy"] == words.text
    assert MARY in words.text and "spam" in words.text


def test_what_came_back_is_shown_with_the_servers_own_words_and_its_mending(
    app: Flask, tom: Visitor, sent: Callable[..., int]
) -> None:
    sending = sent(State.RETURNED)
    failed = {"email": MARY, "verdict": "hard", "reason": "no_such_address", "status": "5.1.1"}
    failed["words"] = NO_SUCH
    arrive(app, sending, Sort.BOUNCE, failed=[failed], link="https://mail.example/7")
    with app.app_context():
        bounces.cautions.put(failed, now(), sending)
        db.session.commit()
    page = soup(tom)
    assert "This address does not exist." in page.select(".outcome")[0].text
    assert buttons(page)["Correct the address…"] == f"/dispatches/{sending}/correction"
    came = page.select_one("[data-step=came]")
    assert came and came["data-light"] == "bad"
    assert NO_SUCH in came.select("details")[-1].text
    address = page.select_one("[data-step=addresses]")
    assert address and "came back on" in address.text
    assert address.select_one("a.btn")["href"].startswith("/contacts/")  # type: ignore[union-attr,index]


def test_a_reply_leads_into_the_mailbox(app: Flask, tom: Visitor, sent: Callable[..., int]) -> None:
    arrive(app, sent(), Sort.REPLY, link="https://mail.example/9")
    page = soup(tom)
    assert "Yes: Mary Lee replied" in page.select(".outcome")[0].text
    assert buttons(page)["Open that mail"] == "https://mail.example/9"


def test_who_cannot_mend_it_is_told_whom_to_ask(
    app: Flask, tom: Visitor, olive: Visitor, sent: Callable[..., int]
) -> None:
    sent(State.HELD, state_note=f"{OFFICE} needs someone to sign in to Google again.")
    with app.app_context():
        db.session.get_one(Mailbox, 1).health = "needs_sign_in"
        db.session.commit()
    mailbox = soup(tom).select_one("[data-step=mailbox]")
    assert mailbox and mailbox["data-light"] == "bad" and "Ask Olive Park." in mailbox.text
    assert buttons(soup(olive))["Open System settings"] == "/settings"


def test_a_draft_leads_to_its_batch(app: Flask, olive: Visitor) -> None:
    with app.app_context():
        factories.office_mailbox()
        person = factories.olive()
        factories.document(author=person)
        made = batches.make("November", person)
        batches.fill(made, select(Document.id), person)
        batch = made.id
    page = soup(olive)
    assert "is still a draft" in page.select(".outcome")[0].text
    assert buttons(page) == {"Open the batch": f"/batches/{batch}"}


def test_the_domain_is_looked_up_beside_the_page(database: str, redis_url: str) -> None:
    stores = {"DATABASE_URL": database, "REDIS_URL": redis_url}
    app = servers.make_app(servers.config_of(**stores, DNS_RESOLVER="127.0.0.1:9"))
    zone = {("homes.example", "MX"): Answer(Kind.FOUND, ("mx.homes.example",))}

    def ask(question: Question, _seconds: float) -> Answer:
        return zone.get(question, Answer(Kind.NOTHING))

    app.extensions["resolver"] = ask
    with app.app_context():
        factories.document(author=factories.tom())
    tom = visitor(app, factories.tom)
    part = soup(tom).select_one("#reach")
    assert part and part["hx-get"] == LOOK_UP
    found = tom.get(LOOK_UP, htmx=True)
    assert "<html" not in found.text and "hx-get" not in found.text
    assert "homes.example : It takes mail, at mx.homes.example." in said(found)
    assert "It takes mail" in tom.words(LOOK_UP)  # without htmx, on the whole page
    for answer, words in (
        (Answer(Kind.NO_NAME), "There is no domain homes.example"),
        (Answer(Kind.NOTHING), "homes.example has no mail server"),
        (Answer(Kind.FOUND, ("",)), "homes.example says that it takes no mail at all"),
        (Answer(Kind.SILENT), "Nobody answered in time, which says nothing against it"),
    ):
        zone["homes.example", "MX"] = answer
        assert words in said(tom.get(LOOK_UP, htmx=True))


def test_where_nothing_is_looked_up_it_says_so(tom: Visitor, sent: Callable[..., int]) -> None:
    sent()
    assert "Not looked up." in said(tom.get(LOOK_UP, htmx=True))


def test_a_sending_to_where_mail_came_back_from_is_asked_about(
    app: Flask, tom: Visitor, sent: Callable[..., int]
) -> None:
    sending = sent(State.RETURNED)
    bounce = {"email": MARY, "verdict": "hard", "reason": "no_such_address", "words": ""}
    with app.app_context():
        bounces.cautions.put(bounce, now(), sending)
        db.session.commit()
    page = tom.words("/documents/1/dispatches/new")
    assert f"Mail to {MARY} came back on" in page
    assert "send it all the same" in page
    assert "Send invoice" in page  # it may be right by now


def test_there_is_nothing_to_ask_of_no_document(tom: Visitor) -> None:
    assert tom.get("/documents/99/inquiry").status_code == 404
    assert tom.get("/documents/99/inquiry/domains").status_code == 404


def test_looking_up_asks_for_each_domain_once(app: Flask) -> None:
    asked: list[Question] = []

    def ask(question: Question, _seconds: float) -> Answer:
        asked.append(question)
        return Answer(Kind.FOUND, ("mx.homes.example",))

    changed = {"DNS_RESOLVER": "127.0.0.1:9"}
    app.config["PORTAL"] = app.config["PORTAL"].model_copy(update=changed)
    app.extensions["resolver"] = ask
    with app.app_context():
        found = domains.taking_mail([MARY, "bob@homes.example", "ann@gmail.com"])
    assert asked == [("homes.example", "MX")]
    assert {one.takes for one in found.values()} == {"yes"}
