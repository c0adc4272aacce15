"""The Outbox as people use it: undoing, holding and hurrying what has not left yet."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from bs4 import BeautifulSoup
from flask import Flask
from sqlalchemy import select

from portal import batches, history, instance, mailboxes, pace, queueing
from portal.columns import now
from portal.dispatch import Dispatch, Lane, State
from portal.documents import Document
from portal.extensions import db
from portal.mailboxes import Mailbox
from portal.people import company
from portal.web import outbox, overview
from tests import asking
from tests.bench import mails
from tests.factories import asked, document, nia, office_mailbox, olive, tom
from tests.visitor import Visitor, said, visitor


@pytest.fixture(autouse=True)
def all_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queueing, "health", lambda: "ok")


@pytest.fixture
def rings(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    heard: list[bool] = []

    def ring() -> bool:
        heard.append(True)
        return True

    monkeypatch.setattr(queueing, "ring", ring)
    return heard


@pytest.fixture
def queue(app: Flask) -> Callable[..., int]:
    """Asks for a sending; its number."""
    with app.app_context():
        office_mailbox()

    def make(number: str = "INV-1", user: Any = tom, **values: Any) -> int:
        with app.app_context():
            one = asked(document(number=number, author=user()), user())
            for name, value in values.items():
                setattr(one, name, value)
            db.session.commit()
            return one.id

    return make


@pytest.fixture
def manager(app: Flask, queue: Callable[..., int]) -> Visitor:
    return visitor(app, olive)


@pytest.fixture
def trader(app: Flask, queue: Callable[..., int]) -> Visitor:
    return visitor(app, tom)


def stands(app: Flask, dispatch_id: int) -> str:
    with app.app_context():
        return db.session.get_one(Dispatch, dispatch_id).state


def undoing(app: Flask, seconds: int) -> None:
    with app.app_context():
        company().undo_seconds = seconds
        db.session.commit()


def soup(answer: Any) -> BeautifulSoup:
    return BeautifulSoup(answer.text, "html.parser")


def test_tom_undoes_a_quote_and_finds_it_as_he_had_written_it(app: Flask, trader: Visitor) -> None:
    undoing(app, 20)
    with app.app_context():
        quote = document("quote", number="QU-1", author=tom()).id
    page = soup(trader.get(f"/documents/{quote}/dispatches/new"))
    fields = page.select("form#send input[name]")
    form = {str(one["name"]): str(one.get("value", "")) for one in fields}
    wrong = {**form, "to": "Mary.Lee@wrong.example", "subject": "Your quote", "body": "Dear Mary"}
    sent = trader.post(f"/documents/{quote}/dispatches", wrong)
    shown = soup(trader.get(sent.location))
    assert "Leaves in" in shown.select_one("form.undo .say").text  # type: ignore[union-attr]
    assert "It can be taken back for 20 seconds more." in shown.get_text(" ")
    assert shown.select_one("#dispatch")["hx-trigger"] == "every 1s"  # type: ignore[index]
    undone = trader.post("/outbox/1", {"do": "undo"})
    assert stands(app, 1) == State.CANCELLED
    again = soup(trader.get(undone.location))
    assert "Taken back: QU-1 did not leave." in again.get_text(" ")
    assert again.select_one("[name=to]")["value"] == "Mary.Lee@wrong.example"  # type: ignore[index]
    assert again.select_one("[name=subject]")["value"] == "Your quote"  # type: ignore[index]
    assert again.select_one("[name=body]").text.strip() == "Dear Mary"  # type: ignore[union-attr]
    assert again.select_one("[name=number]")["value"] == "2"  # type: ignore[index]


@pytest.mark.sqlite_only
def test_an_undone_sending_brings_back_who_it_was_to_come_from(
    app: Flask, manager: Visitor, queue: Callable[..., int]
) -> None:
    queue(from_email="tom@brightspark.example", not_before=now() + timedelta(minutes=1))
    undone = manager.post("/outbox/1", {"do": "undo"})
    page = soup(manager.get(undone.location))
    chosen = page.select_one("[name=once][checked]")
    assert chosen and chosen["value"] == "specified:tom@brightspark.example"


@pytest.mark.sqlite_only
def test_when_it_left_a_moment_before_the_page_says_so(
    app: Flask, trader: Visitor, queue: Callable[..., int]
) -> None:
    queue(state=State.ACCEPTED, accepted_at=now())
    queue("INV-2", state=State.SUBMITTING)
    queue("INV-3", state=State.CANCELLED)
    answers = [
        said(trader.client.get(trader.post(f"/outbox/{one}", {"do": deed}).location))
        for one, deed in ((1, "undo"), (2, "cancel"), (3, "send_now"))
    ]
    assert "Too late: INV-1 left at" in answers[0]
    assert "Too late: INV-2 is being handed over at this moment." in answers[1]
    assert "INV-3 was cancelled already. It did not leave." in answers[2]
    assert [stands(app, one) for one in (1, 2, 3)] == ["accepted", "submitting", "cancelled"]


@pytest.mark.sqlite_only
def test_what_is_hurried_while_nobody_sends_is_not_said_to_leave_at_once(
    trader: Visitor, queue: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    queue()
    monkeypatch.setattr(queueing, "health", lambda: "no_worker")
    words = trader.words(trader.post("/outbox/1", {"do": "send_now"}).location)
    assert "INV-1 goes first. The sending service cannot be reached just now." in words
    assert "About to leave" not in words


@pytest.mark.sqlite_only
def test_olive_holds_everything_and_lets_it_go(
    app: Flask, manager: Visitor, trader: Visitor, queue: Callable[..., int], rings: list[bool]
) -> None:
    queue()
    manager.post("/outbox/hold", {"why": "Wrong bank account"})
    with app.app_context():
        assert not instance.may_send()
    for person, path in ((manager, "/contacts"), (trader, "/outbox")):
        banner = soup(person.get(path)).select_one(".banners")
        assert banner is not None
        words = banner.get_text(" ")
        assert "Olive Park holds all mail since" in words and "Why: Wrong bank account" in words
        assert bool(banner.select("button")) == (person is manager)
    assert "All mail waits" in trader.words("/dispatches/1")
    hurried = trader.post("/outbox/1", {"do": "send_now"})
    assert "INV-1 goes first. All mail waits" in trader.words(hurried.location)
    assert "About to leave" not in trader.words("/outbox")
    assert trader.post("/outbox/release").status_code == 403
    rings.clear()
    manager.post("/outbox/release")
    with app.app_context():
        assert instance.may_send()
    assert rings and "holds all mail" not in manager.words("/outbox")
    told = manager.words("/outbox/hold")  # and it stays known who did so
    assert re.search(r"All mail let go\. .{1,30}, Olive Park All mail held\. Why: Wrong bank", told)


@pytest.mark.sqlite_only
def test_a_mailbox_held_by_hand_says_who_holds_it(
    app: Flask, manager: Visitor, trader: Visitor, queue: Callable[..., int], rings: list[bool]
) -> None:
    queue()
    assert trader.post("/outbox/mailboxes/1/hold").status_code == 403
    manager.post("/outbox/mailboxes/1/hold")
    assert "Olive Park holds this mailbox since" in trader.words("/outbox")
    assert "Olive Park holds this mailbox since" in trader.words("/dispatches/1")
    assert "Held by hand" in manager.words("/settings")
    rings.clear()
    manager.post("/outbox/mailboxes/1/release")
    assert rings and "About to leave" in trader.words("/outbox")
    manager.post("/outbox/mailboxes/1/release")  # a second press lets nothing go
    with app.app_context():
        done = [(one.text, one.actor) for one in history.of("mailbox", 1)]
    office = "Mail of office@brightspark.example"
    assert done == [(f"{office} let go.", "Olive Park"), (f"{office} held.", "Olive Park")]


@pytest.mark.sqlite_only
def test_a_paused_mailbox_says_until_when(
    app: Flask, trader: Visitor, queue: Callable[..., int]
) -> None:
    queue()
    with app.app_context():
        box = db.session.scalars(select(Mailbox)).one()
        box.paused_until, box.pause_note = now() + timedelta(minutes=40), "Gmail is busy."
        db.session.commit()
    words = trader.words("/outbox")
    assert "Paused by the provider until" in words and "Gmail is busy. It goes on at" in words


def test_what_is_ticked_is_held_cancelled_or_sent_at_once_together(
    app: Flask, manager: Visitor, trader: Visitor, queue: Callable[..., int], rings: list[bool]
) -> None:
    for number in (1, 2, 3):
        queue(f"INV-{number}", tom if number < 3 else nia)
    page = soup(trader.get("/outbox"))
    offered = [one["value"] for one in page.select("tbody [name=dispatch]")]
    assert offered == ["1", "2"]  # the third is Nia's
    told = trader.post("/outbox/ticked", {"do": "hold", "dispatch": ["1", "2", "3"]})
    words = trader.words(told.location)
    assert "2 messages: held until somebody lets them go." in words
    assert "Nia Cole, who asked for it, or a manager decides about INV-3." in words
    assert "Tom Baker holds it." in words and "Held by hand" in words
    rings.clear()
    manager.post("/outbox/ticked", {"do": "let_go", "dispatch": ["1", "2"]})
    assert [stands(app, one) for one in (1, 2)] == [State.QUEUED] * 2 and rings
    manager.post("/outbox/ticked", {"do": "cancel", "dispatch": ["2", "3"]})
    assert [stands(app, one) for one in (1, 2, 3)] == ["queued", "cancelled", "cancelled"]
    nothing = trader.post("/outbox/ticked", {"do": "cancel"})
    assert "Tick the messages first" in trader.words(nothing.location)


@pytest.mark.sqlite_only
def test_what_olive_holds_is_not_toms_to_let_go_or_to_cancel(
    app: Flask, manager: Visitor, trader: Visitor, queue: Callable[..., int]
) -> None:
    address = f"/outbox/{queue('INV-1')}"
    manager.post(address, {"do": "hold"})
    bound = "Only a manager can let it go or cancel it: ask Olive Park."
    sentence = f"Olive Park holds it. {bound}"
    for page in ("/outbox", "/dispatches/1"):
        assert bound in trader.words(page)
        assert not soup(trader.get(page)).select("form:not(#ticked) [name=do]")
        assert not soup(trader.get(page)).select("[name=dispatch]")
        assert soup(manager.get(page)).select("form:not(#ticked) [value=let_go]")
    assert sentence in trader.words("/dispatches/1")
    for deed in ("let_go", "send_now", "cancel", "undo", "hold"):
        told = trader.post(address, {"do": deed})
        assert f"INV-1 waits: {sentence}" in trader.words(told.location)
    ticked = trader.post("/outbox/ticked", {"do": "cancel", "dispatch": ["1"]})
    assert f"INV-1 waits: {sentence}" in trader.words(ticked.location)
    assert stands(app, 1) == State.HELD
    manager.post(address, {"do": "let_go"})
    assert stands(app, 1) == State.QUEUED


@pytest.mark.sqlite_only
def test_each_waits_where_somebody_would_look_for_it(
    app: Flask, trader: Visitor, queue: Callable[..., int]
) -> None:
    queue("INV-1")
    queue("INV-2", not_before=now() + timedelta(seconds=17))
    queue("INV-3", state=State.HELD, state_note="No connected mailbox may send as nia@.")
    queue("INV-4", state=State.UNKNOWN, needs_person=True)
    queue("INV-5", state=State.SUBMITTING)
    page = soup(trader.get("/outbox"))
    titles = {
        section.h2.get_text(): [row.get_text(" ", strip=True) for row in section.select("tbody tr")]
        for section in page.select("#outbox > section")
        if section.h2
    }
    assert list(titles) == [
        "Can still be taken back",
        "Unclear",
        "On hold",
        "office@brightspark.example",
    ]
    assert [
        "INV-5" in row and "Sending" in row for row in titles["office@brightspark.example"]
    ] == [
        True,
        False,
    ]
    assert "1st in line" in titles["office@brightspark.example"][1]
    assert "Leaves in 1" in titles["Can still be taken back"][0]
    assert "No connected mailbox may send as nia@." in titles["On hold"][0]
    assert "Somebody must look" in titles["Unclear"][0]
    assert page.select_one("#outbox")["hx-trigger"] == "every 1s"  # type: ignore[index]
    part = trader.get("/outbox", htmx=True).text
    assert part.lstrip().startswith('<div id="outbox"') and 'id="ticked"' not in part


@pytest.mark.sqlite_only
def test_it_says_when_the_day_of_a_mailbox_is_spent(
    app: Flask, trader: Visitor, queue: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    queue()
    tomorrow = now() + timedelta(hours=20)
    monkeypatch.setattr(pace, "departures", lambda load, moment: [tomorrow] * load.waiting)
    words = trader.words("/outbox")
    assert "Day’s limit reached until" in words and "Expected at" in words
    assert "About to leave" not in words


def test_a_batch_is_one_line_however_many_it_holds(app: Flask, manager: Visitor) -> None:
    with app.app_context():
        for number in range(3):
            document(number=f"INV-{number}", author=olive())
        batch = batches.make("October", olive())
        batches.fill(batch, select(Document.id), olive())
        batches.check(batch, olive())
        batches.complete(batch, olive(), batch.version)
        batches.prepare()
    page = soup(manager.get("/outbox"))
    (row,) = page.select("#outbox tbody tr")
    words = row.get_text(" ", strip=True)
    assert "October" in words and "3 of 3" in words and "Done by" in words
    assert row.select_one("a")["href"] == "/batches/1"  # type: ignore[index]


@pytest.mark.sqlite_only
def test_an_empty_outbox_says_that_all_is_well(app: Flask, trader: Visitor) -> None:
    page = trader.get("/outbox")
    assert "Nothing waits" in said(page)
    assert soup(page).select_one("#outbox")["hx-trigger"] == "every 15s"  # type: ignore[index]
    assert "That was the last of them" in trader.words("/outbox?show=queue&mailbox=1&after=0.99")


@pytest.mark.sqlite_only
def test_home_leads_to_what_waits(app: Flask, trader: Visitor, queue: Callable[..., int]) -> None:
    assert not soup(trader.get("/")).select(".strip")
    queue()
    queue("INV-2", not_before=now() + timedelta(seconds=17))
    strip = soup(trader.get("/")).select_one(".strip")
    assert strip and "1 waits to leave, 1 can still be taken back." in " ".join(strip.text.split())


@pytest.mark.sqlite_only
def test_while_all_is_held_home_does_not_say_that_mail_is_on_its_way(
    manager: Visitor, trader: Visitor, queue: Callable[..., int]
) -> None:
    queue()
    manager.post("/outbox/hold", {"why": ""})
    words = trader.words("/")
    assert "What has not left waits until a manager lets mail leave again." in words
    assert "on their way" not in words


def test_a_manager_sets_how_long_a_sending_can_be_taken_back(
    app: Flask, manager: Visitor, trader: Visitor
) -> None:
    assert trader.post("/settings/undo", {"undo_seconds": "20"}).status_code == 403
    told = manager.words(manager.post("/settings/undo", {"undo_seconds": "20"}).location)
    assert "can be taken back for 20 seconds" in told
    wrong = manager.words(manager.post("/settings/undo", {"undo_seconds": "21"}).location)
    assert "Choose one of the times below." in wrong
    with app.app_context():
        assert company().undo_seconds == 20


# -- many mailboxes --------------------------------------------------------------------------------


@pytest.fixture
def fleet(app: Flask) -> Callable[[int, int], list[int]]:
    """So many mailboxes of the company with so many messages each, sent by hand; their numbers."""

    def make(boxes: int, each: int = 2) -> list[int]:
        with app.app_context():
            office_mailbox()
            numbers = mails.connect(boxes)
            mails.queue(numbers, each, lane=Lane.PERSON, pdf_bytes=0)
            return numbers

    return make


def test_many_mailboxes_are_a_line_each_and_their_queues_behind_it(
    app: Flask, fleet: Callable[..., list[int]]
) -> None:
    boxes = fleet(8)
    with app.app_context():
        mailboxes.hold(db.session.get_one(Mailbox, boxes[5]), olive())
        waits = select(Dispatch).where(Dispatch.mailbox_id == boxes[3]).order_by(Dispatch.id)
        mine = db.session.scalars(waits.limit(1)).one()
        mine.requested_by_id, about = olive().id, mine.about
        db.session.commit()
    manager = visitor(app, olive)
    page = soup(manager.get("/outbox"))
    assert "16 wait in the queues of 8 mailboxes." in page.get_text(" ", strip=True)
    lines = page.select("#section-queues tbody tr")
    assert len(lines) == 8 and not page.select("section[id^=section-queue-]")
    assert "Olive Park holds this mailbox" in lines[0].text  # what needs somebody stands first
    assert [one.select_one("strong").text for one in lines] == ["2"] * 8  # type: ignore[union-attr]
    assert [one.text for one in page.select("#section-own tbody .number")] == [about]
    behind = soup(manager.get(str(lines[0].select_one("a")["href"])))  # type: ignore[index]
    assert len(behind.select("table.waits tbody tr")) == 2
    assert "Let this mailbox go" in behind.text


def test_the_lines_of_many_mailboxes_are_read_in_stretches_that_lose_and_repeat_none(
    app: Flask, fleet: Callable[..., list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "SHOWN", 3)
    fleet(8, 1)
    manager, address, seen = visitor(app, olive), "/outbox", []
    while address:
        page = soup(manager.get(address))
        seen += [str(one["id"]) for one in page.select("#section-queues tbody tr")]
        further = page.select_one("#section-queues a[rel=next]")
        address = str(further["href"]) if further else ""
    assert len(seen) == len(set(seen)) == 8


def test_many_mailboxes_are_read_with_as_few_questions_as_some(
    app: Flask, fleet: Callable[..., list[int]]
) -> None:
    fleet(8, 1)
    manager = visitor(app, olive)

    def asked_for() -> int:
        with app.app_context():
            return asking.queries(lambda: manager.get("/outbox"))

    some = asked_for()
    with app.app_context():
        mails.queue(mails.connect(12), 1, lane=Lane.PERSON, pdf_bytes=0)
    assert asked_for() <= some


def test_a_look_that_finds_nothing_new_is_answered_with_nothing(
    app: Flask, queue: Callable[..., int], manager: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "TOLD_ANEW", 10**9)
    number = queue("INV-1")
    look = str(soup(manager.get("/outbox")).select_one("#outbox")["hx-get"])  # type: ignore[index]
    assert manager.get(look, htmx=True).status_code == 204
    manager.post(f"/outbox/{number}", {"do": "hold"})
    assert "Held by hand" in said(manager.get(look, htmx=True))


def test_what_can_still_be_taken_back_is_told_anew_at_every_look(
    queue: Callable[..., int], manager: Visitor
) -> None:
    queue(not_before=now() + timedelta(seconds=30))
    look = str(soup(manager.get("/outbox")).select_one("#outbox")["hx-get"])  # type: ignore[index]
    assert manager.get(look, htmx=True).status_code == 200
