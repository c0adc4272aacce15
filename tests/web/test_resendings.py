"""Sending again from a sending's page: asked twice, with the reason, and once."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from bs4 import BeautifulSoup
from flask import Flask

from portal import dispatch, trials
from portal.columns import now
from portal.dispatch import Attempt, Dispatch, Event, Proof, State
from portal.extensions import db
from portal.policy import set_rule
from portal.senders import Mode
from tests.factories import MARY, asked, cancelled, document, office_mailbox, olive, tom
from tests.visitor import Visitor, said, visitor

PAGE = "/dispatches/1/resending"


@pytest.fixture
def trader(app: Flask) -> Visitor:
    return visitor(app, tom)


@pytest.fixture
def ended(app: Flask) -> Callable[..., None]:
    """Puts Tom's one sending of an invoice, number 1, into a state."""

    def put(state: State, **values: Any) -> None:
        with app.app_context():
            if db.session.query(Dispatch).first() is None:
                office_mailbox()
                asked(document(author=tom()), tom())
            one = db.session.get_one(Dispatch, 1)
            for name, value in {"state": state, "accepted_at": now(), **values}.items():
                setattr(one, name, value)
            db.session.commit()

    return put


def filled_in(who: Visitor, **more: str) -> dict[str, str]:
    """The page's form as a browser sends it."""
    page = BeautifulSoup(who.get(PAGE).text, "html.parser")
    found = {str(one["name"]): str(one.get("value", "")) for one in page.select("#again input")}
    for name in ("why", "sure", "csrf_token"):
        found.pop(name, None)
    return found | more


def test_the_same_message_is_sent_again_with_its_reason(
    app: Flask, trader: Visitor, ended: Callable[..., None]
) -> None:
    ended(State.ACCEPTED, proof=Proof.MATCHES)
    assert f'href="{PAGE}"' in trader.get("/dispatches/1").text
    assert "It was sent once already" in trader.words(PAGE)
    refused = trader.post(PAGE, filled_in(trader, words="She moved"))
    assert refused.status_code == 422 and "She moved" in refused.text
    assert "Choose why it is sent again." in said(refused)
    assert "Tick this if it should really be sent again." in said(refused)
    form = filled_in(trader, why="missing", words="She moved", sure="y")
    assert [trader.post(PAGE, form).location for _ in range(2)] == ["/dispatches/2"] * 2
    words = trader.words("/dispatches/2")  # it asks for itself again: nothing is compared each time
    assert "Asked for once more, after sending 1" in words
    assert "Why: They say it did not arrive. She moved." in words
    assert "Sent again as sending 2" in trader.words("/dispatches/1")
    theirs = visitor(app, olive).post(PAGE, form)
    assert theirs.location == "/dispatches/2"
    paper = trader.words("/documents/1")
    assert "Again, because: They say it did not arrive. She moved." in paper
    assert "sending 2 has not left yet. Wait until it has left" in trader.words(PAGE)
    with app.app_context():
        cancelled(db.session.get_one(Dispatch, 2), tom())
    words = trader.words("/dispatches/2")
    assert "The same message as sending 1" in words
    assert "byte for byte, the message of sending 1" in words


@pytest.mark.sqlite_only
def test_what_is_on_its_way_is_not_sent_again(trader: Visitor, ended: Callable[..., None]) -> None:
    for state in (State.QUEUED, State.SUBMITTING, State.HELD, State.UNKNOWN):
        ended(state)
        assert PAGE not in trader.get("/dispatches/1").text
        assert trader.get(PAGE).location == "/dispatches/1"
        assert "nothing to send again yet" in trader.words("/dispatches/1")
        assert trader.post(PAGE, {"number": "2"}).location == "/dispatches/1"
    ended(State.ACCEPTED, purpose="test")
    assert trader.get(PAGE).status_code == trader.post(PAGE).status_code == 404
    assert PAGE not in trader.get("/dispatches/1").text


def test_an_unclear_one_shows_what_is_known_and_three_ways_on(
    app: Flask, trader: Visitor, ended: Callable[..., None]
) -> None:
    ended(State.UNKNOWN, needs_person=True, settle_tries=5, state_note="Gmail did not answer.")
    with app.app_context():
        words = {"outcome": "unknown", "words": "ReadTimeout after 20 s"}
        db.session.add(Attempt(dispatch_id=1, number=1, worker="van-3:77", **words))
        db.session.commit()
    page = BeautifulSoup(trader.get("/dispatches/1").text, "html.parser")
    known = " ".join(page.select_one("#decide").get_text(" ").split())  # type: ignore[union-attr]
    for told in (
        "Gmail did not answer.",
        "ReadTimeout after 20 s",
        "van-3:77",
        "It looked 5 times",
    ):
        assert told in known
    ways = [" ".join(one.text.split()) for one in page.select(".ways-on > li > .btn")]
    assert ways == ["It left", "It did not leave", "Send it again…"]
    assert "Mary Lee gets the same mail twice" in trader.words(PAGE)
    unsure = trader.post(PAGE, filled_in(trader, why="unclear"))
    assert unsure.status_code == 422 and "Tick this" in said(unsure)
    sent = trader.post(PAGE, filled_in(trader, why="unclear", sure="y"))
    assert sent.location == "/dispatches/2"
    first = trader.words("/dispatches/1")
    assert "Never cleared up, and sent again" in first and "Three ways on" not in first
    with app.app_context():  # taken back: the first one may have left as much as ever
        cancelled(db.session.get_one(Dispatch, 2), tom())
    send_page = trader.words("/documents/1/dispatches/new")
    assert "Nobody knows whether this left at" in send_page and "Send it again" in send_page


def test_what_turns_out_later_is_said_on_the_page_of_the_one_that_was_unclear(
    app: Flask, trader: Visitor, ended: Callable[..., None]
) -> None:
    ended(State.UNKNOWN, needs_person=True, accepted_at=None, handed_over_at=now())
    trader.post(PAGE, filled_in(trader, why="unclear", sure="y"))
    with app.app_context():
        again = db.session.get_one(Dispatch, 2)
        again.state, again.accepted_at = State.ACCEPTED, now()
        db.session.commit()
    page = trader.words("/dispatches/1")
    assert "Did somebody find out since?" in page and "They got it twice" not in page
    trader.post("/dispatches/1/hindsight", {"left": "perhaps"})
    assert "Choose whether it left" in trader.words("/dispatches/1")
    told = trader.words(trader.post("/dispatches/1/hindsight", {"left": "yes"}).location)
    assert "They got it twice Sending 2 left too" in told
    assert "Why sending 2 was asked for: Nobody could tell whether the first one left." in told
    assert f"So {MARY} got it twice" in told and "Did somebody find out" not in told
    assert "They got it twice Sending 1 left too" in trader.words("/dispatches/2")
    assert (
        "Twice:       sending 2 went to them too" in trader.get("/dispatches/1/evidence.txt").text
    )
    trader.post("/dispatches/1/hindsight", {"left": "no"})
    assert "that is known already" in trader.words("/dispatches/1")


def test_who_was_settled_meanwhile_is_looked_at_once_more(
    app: Flask, trader: Visitor, ended: Callable[..., None]
) -> None:
    ended(State.UNKNOWN, needs_person=True)
    form = filled_in(trader, why="unclear", sure="y")
    with app.app_context():
        dispatch.settle(db.session.get_one(Dispatch, 1), olive(), left=True)
    answer = trader.post(PAGE, form)
    assert answer.status_code == 422 and "Something became of it meanwhile" in said(answer)
    assert "It was sent once already" in said(answer)


@pytest.mark.sqlite_only
def test_a_fresh_one_hears_of_it_too(
    app: Flask, trader: Visitor, ended: Callable[..., None]
) -> None:
    ended(State.UNKNOWN, needs_person=True)
    page = BeautifulSoup(trader.get("/documents/1/dispatches/new?after=1").text, "html.parser")
    form = {str(one["name"]): str(one.get("value", "")) for one in page.select("#send input")}
    form |= {"body": "Hello", "why": "unclear", "again": "y"}
    with app.app_context():
        dispatch.settle(db.session.get_one(Dispatch, 1), olive(), left=True)
    answer = trader.post("/documents/1/dispatches", form)
    assert answer.status_code == 422
    assert "Sending 1 was settled meanwhile: sent." in said(answer)


@pytest.mark.sqlite_only
def test_a_document_that_changed_since_says_so(
    app: Flask, trader: Visitor, ended: Callable[..., None]
) -> None:
    ended(State.RETURNED)
    assert "was changed at" not in trader.words(PAGE)
    with app.app_context():
        paper = db.session.get_one(Dispatch, 1).document
        paper.note_change("Title changed.", olive())
        number = paper.number
        db.session.commit()
    words = trader.words(PAGE)
    assert f"{number} was changed at" in words and "carries the PDF as it was then" in words
    assert "/documents/1/dispatches/new?after=1" in trader.get(PAGE).text
    assert "The PDF here is the one of then." in trader.words("/dispatches/1")
    ended(State.HELD)
    assert "What leaves is what was frozen then." in trader.words("/dispatches/1")


@pytest.mark.sqlite_only
def test_a_from_that_is_no_longer_the_rule_leads_to_a_fresh_one(
    app: Flask, trader: Visitor, ended: Callable[..., None]
) -> None:
    with app.app_context():
        set_rule("", Mode.USER)
    ended(State.CANCELLED)
    form = filled_in(trader, why="not_left")
    with app.app_context():
        set_rule("", Mode.DEFAULT)
    assert "The same message cannot be sent again" in trader.words(PAGE)
    answer = trader.post(PAGE, form)
    assert answer.status_code == 422
    assert "by the rules of today it comes from office@brightspark.example" in said(answer)


# The evidence


def test_the_evidence_sheet_tells_all_of_it(
    app: Flask, trader: Visitor, ended: Callable[..., None]
) -> None:
    ended(State.ACCEPTED, provider_message_id="18f2a", proof=Proof.MATCHES, proof_from="office@x")
    with app.app_context():
        words = {"outcome": "accepted", "words": "message 18f2a", "ended_at": now()}
        db.session.add(Attempt(dispatch_id=1, number=1, worker="van-3:77", **words))
        db.session.commit()
        one = db.session.get_one(Dispatch, 1)
        facts = (one.mime_sha256, one.pdf_sha256, one.token, one.reason, one.document.number)
    answer = trader.get("/dispatches/1/evidence.txt")
    assert answer.mimetype == "text/plain"
    assert "attachment" in answer.headers["Content-Disposition"]
    told = answer.text
    for fact in (
        *(*facts, "Asked by:    Tom Baker", "van-3:77: accepted", "message 18f2a"),
        *("they are the same", "Accepted by Gmail on", "mary.lee@homes.example", "asked for, to"),
    ):
        assert fact in told, fact
    assert "&#" not in told and "None" not in told


@pytest.mark.sqlite_only
def test_bytes_that_somebody_changed_are_shown_in_red(
    app: Flask, trader: Visitor, ended: Callable[..., None]
) -> None:
    ended(State.ACCEPTED, proof=Proof.MATCHES)
    assert "is, byte for byte, the one that was frozen" in trader.words("/dispatches/1")
    with app.app_context():
        one = db.session.get_one(Dispatch, 1)
        one.mime = one.mime.replace(b"Hello", b"Hallo")
        db.session.commit()
    assert "The stored message was changed" in trader.words("/dispatches/1")
    assert "THEY ARE NOT THE SAME" in trader.get("/dispatches/1/evidence.txt").text


@pytest.mark.sqlite_only
def test_the_page_hashes_the_message_and_leaves_its_pdf_to_the_sheet(
    trader: Visitor, ended: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(State.ACCEPTED, proof=Proof.MATCHES, pdf_sha256="0" * 64)
    assert "the PDF differs" in trader.get("/dispatches/1/evidence.txt").text
    monkeypatch.setattr(dispatch.proving, "paper_of", lambda one: pytest.fail("taken apart"))
    assert "is, byte for byte, the one that was frozen" in trader.words("/dispatches/1")


FORGED = "It left.\n\nResult\n------\nDelivered to everybody\x85Attempts\r--------"


@pytest.mark.sqlite_only
@pytest.mark.parametrize(
    "state",
    [
        {"state": State.RETURNED},
        {"state": State.REFUSED},
        {"state": State.UNKNOWN, "needs_person": True},
    ],
)
def test_nobody_writes_a_section_into_the_sheet(
    app: Flask, trader: Visitor, ended: Callable[..., None], state: dict[str, Any]
) -> None:
    ended(**state, state_note=FORGED, reason=FORGED, resend_of_id=1, resend_reason=FORGED)
    with app.app_context():
        db.session.add(Attempt(dispatch_id=1, number=1, worker="van-3:77", words=FORGED))
        db.session.add(Event(dispatch_id=1, actor="Tom Baker", text=FORGED))
        db.session.commit()
    told = trader.get("/dispatches/1/evidence.txt").text.splitlines()
    titles = [line for line, under in pairwise(told) if line and under == "-" * len(line)]
    assert titles == ["Result", "The message", "The bytes", "Attempts", "What happened"]
    assert told.count("    Delivered to everybody") == 6  # one of them follows itself, both ways
    assert "Delivered to everybody" not in told


@pytest.mark.sqlite_only
def test_a_mail_of_the_test_round_has_its_sheet_too(app: Flask, trader: Visitor) -> None:
    with app.app_context():
        office_mailbox()
        round_ = trials.start(olive())
        number = trials.send(round_.trials[0], "olive@brightspark.example", olive()).id
    answer = trader.get(f"/dispatches/{number}/evidence.txt")
    assert answer.status_code == 200
    assert "Test of the address office@brightspark.example of Bright Spark" in answer.text
    name = "Test-Mail-from-office-brightspark.example-1"
    assert f"sha256sum {name}.eml" in answer.text
    assert f"{name}-evidence.txt" in answer.headers["Content-Disposition"]
