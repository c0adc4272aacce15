"""What became of a sending: every state says what it means and what to do, and stops asking."""

import re
from collections.abc import Callable
from datetime import timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest
from bs4 import BeautifulSoup
from flask import Flask
from sqlalchemy import select

from portal import dispatch, queueing
from portal.batches import Batch
from portal.bounces import Inbox
from portal.columns import now
from portal.dispatch import Attempt, Dispatch, Proof, State
from portal.envelope import Mailable
from portal.extensions import db
from portal.mailboxes import Mailbox, send_from_addresses
from portal.web import dispatches as pages
from tests.factories import MARY, asked, document, nia, office_mailbox, olive, tom
from tests.visitor import Visitor, said, visitor

SEND_PAGE = "/documents/1/dispatches/new"
OFFICE_SAYS = "Bright Spark Plumbing <office@brightspark.example>"


@pytest.fixture
def trader(app: Flask) -> Visitor:
    return visitor(app, tom)


@pytest.fixture
def sending(app: Flask) -> Callable[..., str]:
    """Makes a sending in a state; its address."""
    with app.app_context():
        office_mailbox()

    def make(state: State = State.QUEUED, **values: Any) -> str:
        with app.app_context():
            one = asked(document(author=tom()), tom())
            one.state, one.state_since = state, now()
            for name, value in values.items():
                setattr(one, name, value)
            db.session.commit()
            return f"/dispatches/{one.id}"

    return make


@pytest.fixture
def all_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queueing, "health", lambda: "ok")


def asks_again(answer: Any) -> str:
    """How often the card looks again; empty when it has stopped."""
    card = BeautifulSoup(answer.text, "html.parser").find(id="dispatch")
    assert card
    return str(card.get("hx-trigger", ""))


def test_the_card_is_a_part_of_its_page_at_the_same_address(
    trader: Visitor, sending: Callable[..., str], all_is_well: None
) -> None:
    address = sending()
    whole, part = trader.get(address), trader.get(address, htmx=True)
    title, card = without_tokens(part.text).strip().split("</title>")
    assert f"{title}</title>" in whole.text  # the tab says what the card says
    assert "<html" not in card and card.strip() in without_tokens(whole.text)
    assert "HX-Request" in part.headers["Vary"]
    assert BeautifulSoup(part.text, "html.parser").select_one("[role=status]")


def without_tokens(page: str) -> str:
    """Forms' tokens and what was seen name their moment, so pages of two seconds differ."""
    page = re.sub(r"[?]seen=\w+", "", page)
    return re.sub(r'(name="csrf_token"[^>]*value=")[^"]+', r"\1", page)


STATES = {
    "is about to leave": {"state": State.QUEUED},
    "Sending It is being handed to Gmail.": {"state": State.SUBMITTING},
    "Reading the sent copy": {"state": State.ACCEPTED, "provider_message_id": "1"},
    "That is what was asked.": {
        "state": State.ACCEPTED,
        "proof": Proof.MATCHES,
        "proof_from": OFFICE_SAYS,
    },
    "It left from another address than you asked for": {
        "state": State.ACCEPTED,
        "proof": Proof.DIFFERS,
        "proof_from": "Somebody <other@brightspark.example>",
    },
    "so the From is not proved": {
        "state": State.ACCEPTED,
        "proof": Proof.NOT_GRANTED,
        "provider_message_id": "1",
    },
    "A person found it in the mailbox.": {"state": State.ACCEPTED, "proof": Proof.NOT_GRANTED},
    "A mail server keeps no sent copy": {
        "state": State.ACCEPTED,
        "proof": Proof.NOT_GRANTED,
        "provider_message_id": "",
    },
    "It is safe here.": {"state": State.HELD, "state_note": "tom@ is not confirmed yet."},
    "Gmail refused the address.": {
        "state": State.REFUSED,
        "state_note": "Gmail refused the address.",
    },
    "It is never sent again on a guess.": {"state": State.UNKNOWN},
    "Three ways on": {"state": State.UNKNOWN, "needs_person": True},
    "It was not sent.": {"state": State.CANCELLED},
}
MOVING = {
    "is about to leave",
    "Sending It is being handed to Gmail.",
    "Reading the sent copy",
    "It is safe here.",
    "It is never sent again on a guess.",
}


@pytest.mark.sqlite_only
def test_every_state_says_what_it_is_and_asks_again_only_while_it_may_change(
    trader: Visitor, sending: Callable[..., str], all_is_well: None
) -> None:
    for sentence, values in STATES.items():
        answer = trader.get(sending(accepted_at=now(), **values))
        assert sentence in said(answer)
        assert bool(asks_again(answer)) == (sentence in MOVING), sentence


def looks(answer: Any) -> str:
    """The address at which the card looks again."""
    card = BeautifulSoup(answer.text, "html.parser").find(id="dispatch")
    assert card
    return str(card["hx-get"])


def test_a_look_that_finds_nothing_new_is_answered_with_nothing(
    app: Flask, trader: Visitor, sending: Callable[..., str], all_is_well: None
) -> None:
    address = sending(State.HELD, state_note="It is not ready.")
    again = looks(trader.get(address))
    answer = trader.get(again, htmx=True)
    assert (answer.status_code, answer.text) == (204, "")
    assert "It is not ready." in trader.words(again)  # whoever opens that address sees the page
    with app.app_context():
        one = db.session.get_one(Dispatch, int(address.rpartition("/")[2]))
        dispatch.move(one.id, (State.HELD,), State.QUEUED, state_note="")
        db.session.commit()
    news = trader.get(again, htmx=True)
    assert "In queue" in said(news) and looks(news) != again


def test_a_manager_who_holds_the_mailbox_is_news(
    app: Flask, trader: Visitor, sending: Callable[..., str], all_is_well: None
) -> None:
    again = looks(trader.get(sending()))
    with app.app_context():
        box = db.session.get_one(Mailbox, 1)
        box.held_at, box.held_by_id = now(), olive().id
        db.session.commit()
    assert "Olive Park holds this mailbox" in said(trader.get(again, htmx=True))


def test_what_can_still_be_taken_back_counts_down_at_every_look(
    trader: Visitor, sending: Callable[..., str], all_is_well: None
) -> None:
    again = looks(trader.get(sending(not_before=now() + timedelta(seconds=30))))
    assert trader.get(again, htmx=True).status_code == 200


@pytest.mark.sqlite_only
def test_it_asks_less_and_less_often(
    trader: Visitor, sending: Callable[..., str], all_is_well: None
) -> None:
    ages = {5: "every 1s", 60: "every 2s", 600: "every 5s"}
    for seconds, rhythm in ages.items():
        since = now() - timedelta(seconds=seconds)
        assert asks_again(trader.get(sending(state_since=since))) == rhythm
    assert asks_again(trader.get(sending(State.HELD))) == "every 5s"


@pytest.mark.sqlite_only
def test_once_accepted_it_listens_for_a_while_to_what_comes_in(
    app: Flask, trader: Visitor, sending: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def accepted(minutes: float) -> str:
        since = now() - timedelta(minutes=minutes)
        proved = {"proof": Proof.MATCHES, "accepted_at": since, "state_since": since}
        return sending(State.ACCEPTED, **proved)

    assert not asks_again(trader.get(accepted(1)))  # its inbox is not read
    with app.app_context():
        db.session.add(Inbox(mailbox_id=1, looked_at=now(), pending=[]))
        db.session.commit()
    moment = now()
    monkeypatch.setattr(pages, "now", lambda: moment)  # or a minute begins meanwhile
    page = trader.get(accepted(1))
    assert asks_again(page) == "every 20s"
    again = looks(page)
    assert trader.get(again, htmx=True).status_code == 204
    with app.app_context():
        one = db.session.scalars(select(Dispatch).order_by(Dispatch.id.desc())).first()
        assert one is not None
        dispatch.tell(one.id, "Mary Lee replied.")
        db.session.commit()
    assert looks(trader.get(again, htmx=True)) != again
    assert not asks_again(trader.get(accepted(25)))


@pytest.mark.sqlite_only
def test_when_the_queue_is_away_the_mail_is_said_to_be_safe(
    trader: Visitor, sending: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = sending()
    for trouble in ("no_redis", "no_worker"):
        monkeypatch.setattr(queueing, "health", lambda trouble=trouble: trouble)
        assert "Your mail is safe, and leaves by itself" in trader.words(address)


@pytest.mark.sqlite_only
def test_a_resting_mailbox_says_until_when(
    app: Flask, trader: Visitor, sending: Callable[..., str], all_is_well: None
) -> None:
    address = sending()
    with app.app_context():
        box = db.session.query(Mailbox).one()
        box.paused_until, box.pause_note = now() + timedelta(minutes=5), "Gmail is busy."
        db.session.query(Dispatch).one().state_note = "Gmail is busy."
        db.session.commit()
    assert "Gmail is busy. It goes on at" in trader.words(address)
    assert "Its provider asks office@brightspark.example to wait until" in trader.words(SEND_PAGE)
    with app.app_context():  # its rest is over: what was said of it is no longer true
        db.session.query(Mailbox).one().paused_until = now() - timedelta(seconds=1)
        db.session.commit()
    for page in (address, SEND_PAGE, "/documents/1"):
        assert "Gmail is busy" not in trader.words(page)
        assert "to wait until" not in trader.words(page)
    assert "It is about to leave." in trader.words(address)


@pytest.mark.sqlite_only
def test_a_long_turn_of_an_earlier_message_is_said(
    trader: Visitor, sending: Callable[..., str], all_is_well: None
) -> None:
    said_so = "It waits for an earlier message of this mailbox"
    alone = sending(state_since=now() - timedelta(minutes=1))
    sending(State.SUBMITTING)
    fresh, late = sending(), sending(state_since=now() - timedelta(seconds=16))
    assert said_so in trader.words(late)
    assert said_so not in trader.words(fresh)  # it may be next any moment
    assert said_so not in trader.words(alone)  # what is being sent came after it


def test_what_waits_can_be_cancelled(
    app: Flask, trader: Visitor, sending: Callable[..., str]
) -> None:
    for state in (State.QUEUED, State.HELD):
        address = sending(state)
        form = {"do": "cancel", "next": address}
        assert trader.post(address.replace("dispatches", "outbox"), form).location == address
        words = trader.words(address)
        assert "Cancelled It was not sent." in words
        assert "Cancelled before it was sent. " in words and "Tom Baker" in words


@pytest.mark.sqlite_only
def test_what_is_on_its_way_cannot(trader: Visitor, sending: Callable[..., str]) -> None:
    address = sending(State.SUBMITTING)
    assert "Cancel this sending" not in trader.get(address).text
    trader.post(address.replace("dispatches", "outbox"), {"do": "cancel"})
    words = trader.words(address)
    assert "Too late: INV-" in words and "Sending It is being handed" in words


def test_a_person_settles_what_gmail_could_not_tell(
    app: Flask, trader: Visitor, sending: Callable[..., str]
) -> None:
    outcomes = {"yes": ("Accepted by Gmail", "it did leave"), "no": ("Could not send", "did not")}
    for answer, (state, story) in outcomes.items():
        address = sending(State.UNKNOWN, needs_person=True)
        trader.post(f"{address}/settlement", {"left": "perhaps"})
        assert "Choose whether it left" in trader.words(address)
        trader.post(f"{address}/settlement", {"left": answer})
        words = trader.words(address)
        assert state in words and story in words
        trader.post(f"{address}/settlement", {"left": answer})
        assert "It is settled already." in trader.words(address)


@pytest.mark.sqlite_only
def test_a_hold_names_the_way_out_for_whom_it_is(
    app: Flask, trader: Visitor, sending: Callable[..., str]
) -> None:
    theirs = {"from_email": "nia@brightspark.example", "hold_code": "not_linked"}
    address = sending(State.HELD, state_note="Nobody verified it.", **theirs)

    def way(who: Visitor) -> list[str]:
        page = BeautifulSoup(who.get(address).text, "html.parser")
        return [str(one["href"]) for one in page.select(".outcome a.btn:not(.quiet)")]

    assert way(visitor(app, nia)) == ["/profile"]
    assert way(visitor(app, olive)) == ["/settings"]
    assert way(trader) == []
    assert "The office manager puts this right" in trader.words(address)


@pytest.mark.sqlite_only
def test_what_has_not_left_is_not_called_sent(trader: Visitor, sending: Callable[..., str]) -> None:
    waiting = trader.words(sending(State.HELD))
    assert "Asked for by Tom Baker" in waiting and "Sent by" not in waiting
    assert "went along" not in waiting
    assert "Sent by Tom Baker" in trader.words(sending(State.ACCEPTED))


def test_the_evidence_is_the_very_bytes(
    app: Flask, trader: Visitor, sending: Callable[..., str]
) -> None:
    address = sending()
    kept = trader.get(f"{address}/message.eml")
    with app.app_context():
        one = db.session.query(Dispatch).one()
        assert kept.data == one.mime
        name = f"attachment; filename={one.document.number}-1.eml"
        assert kept.headers["Content-Disposition"] == name
        one.document.title = "Changed since"
        db.session.commit()
        fingerprints = (one.mime_sha256, one.pdf_sha256)
    assert message_from_bytes(kept.data, policy=policy.default)["To"] == f"Mary Lee <{MARY}>"
    paper = trader.get(f"{address}/paper.pdf")
    assert paper.data.startswith(b"%PDF-") and paper.data in decoded(kept.data)
    words = trader.words(address)
    assert all(one in words for one in fingerprints)
    assert "Tom Baker" in words


def decoded(message: bytes) -> bytes:
    parts = message_from_bytes(message, policy=policy.default).walk()
    return b"".join(part.get_payload(decode=True) or b"" for part in parts)


@pytest.mark.sqlite_only
def test_what_the_provider_said_is_behind_technical_details(
    app: Flask, trader: Visitor, sending: Callable[..., str]
) -> None:
    address = sending(State.REFUSED, state_note="Gmail refused it.")
    with app.app_context():
        one = db.session.query(Dispatch).one()
        said_so = {"outcome": "refused", "words": "400 Invalid To header <x>"}
        db.session.add(Attempt(dispatch_id=one.id, number=1, worker="w", **said_so))
        db.session.commit()
    page = BeautifulSoup(trader.get(address).text, "html.parser")
    details = page.select_one("details.technical")
    assert details and "400 Invalid To header <x>" in details.text
    assert not details.has_attr("open")
    again = page.select_one(".outcome a.btn")
    assert again and str(again["href"]).endswith("/dispatches/new?after=1")


def test_somebody_finds_that_it_came_back(
    app: Flask, trader: Visitor, sending: Callable[..., str]
) -> None:
    address = sending(State.ACCEPTED, accepted_at=now(), proof=Proof.MATCHES)
    assert f'href="{address}/return"' in trader.get(address).text
    assert "has not been read yet. If you found such a mail" in trader.words(f"{address}/return")
    answer = trader.post(f"{address}/return", {"why": "550 Address not found\r\nSorry."})
    assert answer.location == address
    words = trader.words(address)
    assert "Came back The mail provider had taken it at" in words
    assert "550 Address not found" in words
    assert "Correct the address" in words and "Sent by Tom Baker" in words
    page = trader.words(SEND_PAGE)
    assert "sent this at" not in page  # sending it again is what is to be done
    assert "Came back" in trader.words("/documents/1") and "Came back" in trader.words("/")
    again = trader.post(f"{address}/return", {"why": "Again"})
    assert again.location == address
    assert "Only what was sent can come back." in trader.words(address)


@pytest.mark.sqlite_only
def test_only_what_was_accepted_can_come_back_and_what_was_written_is_kept(
    trader: Visitor, sending: Callable[..., str]
) -> None:
    waiting = sending(State.QUEUED)
    assert "It came back" not in trader.get(waiting).text
    assert trader.get(f"{waiting}/return").location == waiting
    accepted = sending(State.ACCEPTED, accepted_at=now())
    refused = trader.post(f"{accepted}/return", {"why": "x" * 2001})
    assert refused.status_code == 422 and "x" * 2001 in refused.text
    assert "What it said is 1 characters too long; the most is 2000." in said(refused)


@pytest.mark.sqlite_only
def test_the_portals_own_mail_shows_everything_but_its_words(
    app: Flask, trader: Visitor, sending: Callable[..., str]
) -> None:
    sending()
    with app.app_context():
        through = send_from_addresses()[0]
        to = Mailable("olive@brightspark.example", "Olive Park")
        words = "Set your password: https://portal.example/links/secret"
        number = dispatch.notice("invite", to, "Your invitation", words, through).id
    shown = trader.words(f"/dispatches/{number}")
    assert "Your invitation" in shown and "olive@brightspark.example" in shown
    assert "In queue" in shown and "The portal itself" in shown
    assert "secret" not in shown
    for path in ("/message.eml", "/paper.pdf"):
        assert trader.get(f"/dispatches/{number}{path}").status_code == 404
    assert trader.get(f"/dispatches/{number}/return").status_code == 303
    refused = trader.post(f"/outbox/{number}", {"do": "cancel"})
    assert "Nothing was changed" in trader.words(refused.location)
    assert trader.post(f"/dispatches/{number}/settlement", {"left": "no"}).status_code == 403
    assert "Cancel" not in shown


@pytest.mark.sqlite_only
def test_a_sending_of_a_batch_leads_to_it(app: Flask, trader: Visitor) -> None:
    with app.app_context():
        office_mailbox()
        one = asked(document(author=tom()), tom())
        batch = Batch(name="Invoices, November 2026", created_by_id=tom().id)
        db.session.add(batch)
        db.session.flush()
        one.batch_id, number = batch.id, one.id
        db.session.commit()
        address = f"/batches/{batch.id}"
    page = BeautifulSoup(trader.get(f"/dispatches/{number}").text, "html.parser")
    link = page.find("a", href=address)
    assert link and link.text == "Invoices, November 2026"


@pytest.mark.sqlite_only
def test_a_sending_that_is_none_is_not_found(trader: Visitor) -> None:
    for path in ("", "/message.eml", "/paper.pdf", "/return"):
        assert trader.get(f"/dispatches/9{path}").status_code == 404
    assert trader.post("/outbox/9", {"do": "cancel"}).status_code == 404
    assert trader.post("/dispatches/9/settlement", {"left": "yes"}).status_code == 404


def test_for_whom_it_was_not_taken_one_press_begins_a_sending_to_them_alone(
    app: Flask, trader: Visitor, sending: Callable[..., str]
) -> None:
    sue = "sue@homes.example"
    away = [{"email": sue, "words": "450 greylisted", "passing": True}]
    address = sending(state=State.ACCEPTED, accepted_at=now(), turned_away=away)
    page = trader.get(address)
    assert "asked for time for sue@homes.example: 450 greylisted" in said(page)
    assert "Not taken for everybody" in trader.words("/")
    link = BeautifulSoup(page.text, "html.parser").select_one("a[href*='rest=']")
    assert link and "alone" in link.text
    form = BeautifulSoup(trader.get(str(link["href"])).text, "html.parser")
    assert [one["value"] for one in form.select("[name=to], [name=cc]")] == [sue, ""]
    elsewhere = str(link["href"]).replace("after=1", "after=99")
    assert sue not in trader.get(elsewhere).text
