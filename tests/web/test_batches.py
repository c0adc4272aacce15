"""The month-end: a draft is filled, checked and sent with one button, and accounted for after."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from bs4 import BeautifulSoup
from flask import Flask
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from portal import batches, dispatch, history, policy
from portal.batches import Batch, BatchItem
from portal.columns import now
from portal.dispatch import Dispatch, State
from portal.documents import Document
from portal.extensions import db
from portal.mailboxes import Address, Mailbox
from portal.people import Contact
from portal.providers.gmail import FULL_SCOPES
from portal.senders import Mode, Place, Scope
from tests import factories
from tests.factories import ACCOUNTS, OFFICE
from tests.visitor import Visitor, said, visitor

HARBOUR = "Harbour Strata Management"


@pytest.fixture
def month_end(app: Flask) -> Flask:
    """Three invoices of the north, one of the south; Harbour Strata has no address."""
    with app.app_context():
        factories.office_mailbox()
        newcastle = factories.branch("Newcastle", "North")
        wollongong = factories.branch("Wollongong", "South")
        hill = factories.site("12 Hill St", newcastle, billing=factories.mary())
        quay = factories.site("9 Quay St", wollongong, billing=factories.mary())
        harbour = factories.contact(business=HARBOUR, email="")
        factories.document(number="INV-0042", site=hill)
        factories.document(number="INV-0043", site=hill)
        factories.document(number="INV-0044", site=quay)
        factories.document(number="INV-0041", contact=harbour)
        db.session.remove()
    return app


@pytest.fixture
def olive(month_end: Flask) -> Visitor:
    return visitor(month_end, factories.olive)


@pytest.fixture
def tom(month_end: Flask) -> Visitor:
    return visitor(month_end, factories.tom)


def fill(who: Visitor, **chosen: str) -> str:
    """A new draft, filled by filter and checked; its address."""
    form = {"name": "November", "all": "yes", **chosen}
    where = who.post("/batches", form).location
    who.post(f"{where}/check")
    return str(where)


def tiles(answer: TestResponse) -> dict[str, str]:
    """The big counts, by their words."""
    soup = BeautifulSoup(answer.text, "html.parser")
    return {
        one.select_one(".label").get_text(strip=True): one.select_one(".figure").get_text()  # type: ignore[union-attr]
        for one in soup.select(".tile")
    }


def version_on(page: TestResponse) -> dict[str, str]:
    """What the page's button would send along."""
    field = BeautifulSoup(page.text, "html.parser").select_one("[name=version]")
    assert field
    return {"version": str(field["value"])}


def send(olive: Visitor, where: str) -> TestResponse:
    return olive.post(f"{where}/completion", version_on(olive.get(f"{where}/completion")))


def freeze(app: Flask, **fates: State) -> None:
    """What the worker does with the batch; fates by invoice number, as inv_0042=State.REFUSED."""
    with app.app_context():
        batches.prepare()
        for name, state in fates.items():
            number = name.upper().replace("_", "-")
            query = select(Dispatch).join(Document, Document.id == Dispatch.document_id)
            one = db.session.scalars(query.where(Document.number == number)).one()
            note = "Gmail said no." if state == State.REFUSED else ""
            assert dispatch.move(one.id, (State.QUEUED,), state, state_note=note)
        db.session.commit()
        db.session.remove()


def stored(app: Flask) -> list[str]:
    """The numbers of the dispatches' documents: what leaves."""
    with app.app_context():
        query = select(Document.number).join(Dispatch, Dispatch.document_id == Document.id)
        return sorted(db.session.scalars(query))


# Filling


def test_a_batch_is_filled_by_branch_and_says_what_it_would_take(
    month_end: Flask, olive: Visitor
) -> None:
    with month_end.app_context():
        north = factories.branch("Newcastle").region_id
    page = olive.get("/batches/new")
    assert "4 invoices" in said(page)
    assert "Only those never sent" in said(page)
    part = olive.get(f"/batches/new?asked=yes&unsent=yes&region_id={north}", htmx=True)
    assert "Add 3 invoices" in said(part)
    assert "<html" not in part.text
    where = olive.post("/batches", {"name": "October, North", "region_id": str(north)}).location
    page = olive.get(where)
    assert "3 invoices added." in said(page)
    assert "0 of 3 checked" in said(page)


@pytest.mark.sqlite_only
def test_a_month_is_chosen_with_one_press_and_bad_days_are_said_beside_their_field(
    olive: Visitor,
) -> None:
    november = olive.get("/batches/new?unsent=yes&month=2026-11-01")
    assert 'value="2026-11-01"' in november.text
    assert 'value="2026-11-30"' in november.text
    assert "4 invoices" in said(november)
    answer = olive.get("/batches/new?unsent=yes&month=2026-10-01")
    assert 'value="Invoices, October 2026"' in answer.text, "called after what is in it"
    october = said(answer)
    assert "None" in october
    assert "Take something away" in october
    assert "1 invoices" not in said(olive.get("/batches/new?issued_from=24/11/2026&asked=yes"))
    bad = olive.get("/batches/new?issued_from=soon&asked=yes")
    assert "“soon” is not a date. Write it like 23/11/2026." in said(bad)
    assert 'value="soon"' in bad.text
    assert said(olive.get("/batches/new?branch_id=nowhere&asked=yes")).count("nowhere") == 1
    assert olive.get("/batches/new?kind=poem").status_code == 404
    assert olive.get("/batches/new?month=9999-12-01").status_code == 200


def test_ticked_invoices_go_into_a_new_batch_or_a_draft_that_is_there(
    month_end: Flask, olive: Visitor
) -> None:
    with month_end.app_context():
        ids = list(db.session.scalars(select(Document.id).order_by(Document.number)))
    asked = olive.post("/batches/filling", {"ids": ids[:2]})
    assert "Put 2 invoices into a batch" in said(asked)
    nameless = olive.post("/batches/filling", {"ids": ids[:2], "batch": "new", "name": " "})
    assert "Write a name." in said(nameless)
    where = olive.post(
        "/batches/filling", {"ids": ids[:2], "batch": "new", "name": "Two of them"}
    ).location
    assert "2 invoices added." in olive.words(where)
    asked = olive.post("/batches/filling", {"ids": ids})
    assert "2 of the chosen stand in a draft already" in said(asked)
    assert "Two of them" in said(asked)
    batch_id = where.rsplit("/", 1)[1]
    again = olive.post("/batches/filling", {"ids": ids, "batch": batch_id}).location
    assert again == where
    assert "2 invoices added." in olive.words(where)
    assert "Nothing was chosen" in said(olive.post("/batches/filling", {"ids": ["x", "9" * 30]}))
    assert "Nothing was chosen" in said(olive.post("/batches/filling"))
    assert olive.post("/batches/filling", {"ids": ids, "batch": "999"}).status_code == 404


@pytest.mark.sqlite_only
def test_an_invoice_in_one_draft_stays_there_and_the_other_says_so(olive: Visitor) -> None:
    fill(olive)
    other = olive.post("/batches", {"name": "Another", "all": "yes"}).location
    assert "No invoices added. 4 were in another draft, and stayed there." in olive.words(other)
    assert "4 more stand in another draft" in olive.words("/batches/new")


@pytest.mark.sqlite_only
def test_a_batch_needs_a_name_and_keeps_what_was_typed(month_end: Flask, olive: Visitor) -> None:
    refused = olive.post("/batches", {"name": "", "unsent": "yes", "q": "INV-0042"})
    assert refused.status_code == 422
    assert "Write a name." in said(refused)
    assert 'value="INV-0042"' in refused.text
    long = olive.post("/batches", {"name": "n" * 121})
    assert "Name is 1 characters too long" in said(long)
    with month_end.app_context():
        assert db.session.scalars(select(Batch)).all() == []


# Pre-flight


def test_preflight_lists_every_invoice_with_its_sender_and_recipients(olive: Visitor) -> None:
    where = fill(olive)
    page = olive.get(where)
    assert tiles(page) == {"Ready": "3", "Will wait on hold": "0", "Not ready": "1"}
    words = said(page)
    assert "office@brightspark.example" in words
    assert "Company rule: every document comes from the company mailbox." in words
    assert "marked Billing and Email Invoice at 12 Hill St" in words
    assert f"{HARBOUR} has no e-mail address." in words
    assert "It covers 2 branches. Each invoice follows the rules of its own branch." in words
    soup = BeautifulSoup(page.text, "html.parser")
    fix = soup.find("a", string="Open the contact")
    assert fix and "/contacts/" in str(fix["href"])
    assert soup.select('a[href$="/paper.pdf"]')
    deed = soup.select_one(".actionbar a.deed")
    assert deed and deed.get_text(strip=True) == "Send 3 invoices…"
    assert "1 is not ready and will not be sent." in words


@pytest.mark.sqlite_only
def test_a_group_a_sender_a_problem_and_a_number_each_have_their_list(olive: Visitor) -> None:
    where = fill(olive)

    def listed(query: str) -> list[str]:
        soup = BeautifulSoup(olive.get(f"{where}?{query}").text, "html.parser")
        return [one.get_text(strip=True) for one in soup.select(".items .number")]

    assert listed("group=blocked") == ["INV-0041"]
    assert listed("group=ready") == ["INV-0042", "INV-0043", "INV-0044"]
    assert listed("group=sender:office@brightspark.example") == listed("group=ready")
    assert listed("group=problem:no_address") == ["INV-0041"]
    assert listed("q=0043") == ["INV-0043"]
    assert listed("q=harbour") == ["INV-0041"]
    assert listed("q=100%25") == []
    assert listed("group=nonsense") == []
    assert listed("after=notanumber") == listed("")


@pytest.mark.sqlite_only
def test_a_long_draft_is_paged(
    month_end: Flask, olive: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.web.preflight.STRETCH", 3)
    where = fill(olive)
    soup = BeautifulSoup(olive.get(where).text, "html.parser")
    following = soup.find("a", rel="next")
    assert following
    rest = olive.get(str(following["href"]))
    assert "INV-0044" in said(rest) or "INV-0041" in said(rest)
    assert len(BeautifulSoup(rest.text, "html.parser").select(".items .number")) == 1
    assert "From the start" in said(rest)


def test_checking_goes_on_by_itself_and_opens_the_page_when_it_is_done(
    olive: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.web.batches.CHUNK", 3)
    where = olive.post("/batches", {"name": "November", "all": "yes"}).location
    page = olive.get(where)
    assert "Check the next 3" in page.text  # for a browser without script
    assert "It can be sent when all are checked." in said(page)
    assert BeautifulSoup(page.text, "html.parser").select_one(".actionbar button[disabled]")
    part = olive.post(f"{where}/check", htmx=True)
    assert "3 of 4 checked" in said(part)
    assert 'hx-trigger="load"' in part.text
    assert "<html" not in part.text
    done = olive.post(f"{where}/check", htmx=True)
    assert done.headers["HX-Redirect"] == where
    assert "Send 3 invoices…" in olive.words(where)


def test_what_was_put_right_is_ready_after_checking_again(month_end: Flask, olive: Visitor) -> None:
    where = fill(olive)
    with month_end.app_context():
        harbour = db.session.scalars(select(Contact).where(Contact.business == HARBOUR)).one()
        harbour.email = "priya@harbour.example"
        history.note("company", 1, "All mail held.", "Olive Park")  # that changes no document
        db.session.commit()
        assert "Something was changed since" not in olive.words(where)
        history.note("contact", harbour.id, "E-mail changed.", "Tom Baker")
        db.session.commit()
    assert "Something was changed since" in olive.words(where)
    olive.post(f"{where}/check", {"again": "yes"})
    olive.post(f"{where}/check")
    page = olive.get(where)
    assert tiles(page)["Ready"] == "4"
    assert "Something was changed since" not in said(page)


@pytest.mark.sqlite_only
def test_a_mailbox_that_cannot_be_reached_is_said_before_the_batch_goes(
    month_end: Flask, olive: Visitor, tom: Visitor
) -> None:
    where = fill(olive)
    assert "unreachable" not in olive.words(where)
    with month_end.app_context():
        away = update(Mailbox).values(failing_since=now() - timedelta(hours=2))
        db.session.execute(away)
        db.session.commit()
    page = olive.words(where)
    assert f"{OFFICE}: Google unreachable, we keep trying" in page
    assert "3 of this batch, waits until then: nothing is lost. Look at the mailbox" in page
    assert "Look at the mailbox" not in tom.words(where)
    with month_end.app_context():
        db.session.execute(update(Mailbox).values(failing_since=None, held_at=now()))
        db.session.commit()
    assert "Held by hand" in tom.words(where) and "Open the Outbox" in tom.words(where)


@pytest.mark.sqlite_only
def test_who_is_not_ready_is_told_from_who_is(month_end: Flask, olive: Visitor) -> None:
    """Newcastle's mail comes from Nia, whose address nobody verified."""
    with month_end.app_context():
        newcastle = factories.branch("Newcastle")
        place = Place(Scope.BRANCH, newcastle.id, newcastle.name)
        policy.set_rule("", Mode.SPECIFIED, "nia@brightspark.example", place=place)
        db.session.commit()
    where = fill(olive)
    page = olive.get(where)
    assert tiles(page) == {"Ready": "1", "Will wait on hold": "2", "Not ready": "1"}
    assert "2 of them will wait on hold until the sender is ready" in said(page)
    assert "Send 3 invoices…" in said(page)
    last_look = said(olive.get(f"{where}/completion"))
    assert "It never leaves from another address." in last_look


@pytest.mark.sqlite_only
def test_items_are_taken_out_and_a_draft_is_renamed_or_discarded(
    month_end: Flask, olive: Visitor
) -> None:
    where = fill(olive)
    with month_end.app_context():
        first = db.session.scalars(select(BatchItem.id).order_by(BatchItem.id)).first()
    assert "Tick what to take out first." in said_after(olive, f"{where}/removal", {})
    assert "1 taken out" in said_after(olive, f"{where}/removal", {"item": [str(first), "x"]})
    renamed = olive.post(where, {"name": "North only", "was": "November"})
    assert renamed.status_code == 303
    assert "North only" in olive.words("/batches")
    assert olive.post(where, {"name": "", "was": "North only"}).status_code == 422
    gone = olive.post(f"{where}/discarding")
    assert gone.location == "/batches"
    assert "“North only” is discarded. Its documents are untouched." in olive.words("/batches")
    assert olive.get(where).status_code == 404
    assert "4 invoices" in olive.words("/batches/new")


@pytest.mark.sqlite_only
def test_two_who_rename_see_each_other_and_lose_nothing(olive: Visitor, tom: Visitor) -> None:
    where = fill(olive)
    tom.post(where, {"name": "Tom's name", "was": "November"})
    clash = olive.post(where, {"name": "Olive's name", "was": "November"})
    assert clash.status_code == 409
    assert "Tom's name" in said(clash)
    assert 'value="Olive&#39;s name"' in clash.text
    assert olive.post(where, {"name": "Olive's name", "was": "Tom's name"}).status_code == 303


def said_after(who: Visitor, address: str, form: dict[str, Any]) -> str:
    """What the page says that a form leads to."""
    return who.words(who.post(address, form).location)


# The deed


def test_one_button_sends_what_is_ready_and_the_sheet_says_what_became_of_it(
    month_end: Flask, olive: Visitor
) -> None:
    where = fill(olive)
    last_look = olive.get(f"{where}/completion")
    assert "Send 3 invoices?" in said(last_look)
    assert "Done by" in said(last_look)
    assert stored(month_end) == []
    assert send(olive, where).location == where
    assert "0 of 3 invoices sent" in olive.words(where)
    freeze(month_end, inv_0042=State.ACCEPTED, inv_0043=State.REFUSED, inv_0044=State.HELD)
    assert stored(month_end) == ["INV-0042", "INV-0043", "INV-0044"]
    page = olive.get(where)
    found = tiles(page)
    assert found["Sent"] == found["Could not send"] == found["On hold"] == "1"
    assert found["Not sent"] == "1"
    words = said(page)
    assert "1 of 3 invoices sent" in words
    assert "Gmail said no." in words
    assert "Try the 2 that did not get through again" in words
    assert "Sent by Olive Park" in words
    assert "1 sent" in olive.words("/batches")


def test_the_page_looks_again_until_nothing_moves(month_end: Flask, olive: Visitor) -> None:
    where = fill(olive, q="INV-0042")
    send(olive, where)
    assert 'hx-trigger="every 2s"' in olive.get(where).text
    part = olive.get(where, htmx=True)
    assert 'id="batch"' in part.text
    assert "<html" not in part.text
    freeze(month_end, inv_0042=State.ACCEPTED)
    page = olive.get(where)
    assert "hx-trigger" not in page.text
    assert "All 1 invoice sent" in said(page)


def test_a_press_on_an_old_page_sends_nothing(month_end: Flask, olive: Visitor) -> None:
    where = fill(olive, q="INV-0042")
    seen = version_on(olive.get(f"{where}/completion"))
    olive.post(f"{where}/filling", {"all": "yes"})
    olive.post(f"{where}/check")
    assert "nothing was sent" in said_after(olive, f"{where}/completion", seen)
    assert "Send 3 invoices…" in olive.words(where)
    assert send(olive, where).status_code == 303
    twice = said_after(olive, f"{where}/completion", seen)
    assert "was completed already, by Olive Park" in twice
    freeze(month_end)
    assert len(stored(month_end)) == 3


@pytest.mark.sqlite_only
def test_staff_prepare_a_batch_and_a_manager_sends_it(month_end: Flask, tom: Visitor) -> None:
    where = fill(tom)
    words = tom.words(where)
    assert "Sending a batch is for managers" in words
    assert "Send 3 invoices…" not in words
    assert tom.get(f"{where}/completion").status_code == 403
    assert tom.post(f"{where}/completion", {"version": "1"}).status_code == 403
    freeze(month_end)
    assert stored(month_end) == []


def test_only_what_failed_is_tried_again(month_end: Flask, olive: Visitor) -> None:
    where = fill(olive)
    send(olive, where)
    freeze(month_end, inv_0042=State.ACCEPTED, inv_0043=State.REFUSED, inv_0044=State.ACCEPTED)
    again = olive.post(f"{where}/retry").location
    olive.post(f"{again}/check")
    page = olive.get(again)
    assert "INV-0043" in said(page)
    assert "INV-0041" in said(page)
    assert "INV-0042" not in said(page)
    assert "Tried again in" in olive.words(where)
    assert "There is nothing to try again" in said_after(olive, f"{where}/retry", {})


def test_the_sheet_opens_in_a_spreadsheet_and_runs_nothing_there(
    month_end: Flask, olive: Visitor
) -> None:
    with month_end.app_context():
        harbour = db.session.scalars(select(Contact).where(Contact.business == HARBOUR)).one()
        harbour.business = "=HYPERLINK(1)"
        db.session.commit()
    where = fill(olive)
    send(olive, where)
    freeze(month_end, inv_0042=State.ACCEPTED)
    answer = olive.get(f"{where}/results.csv")
    assert answer.data.startswith(b"\xef\xbb\xbf")
    assert answer.mimetype == "text/csv"
    assert "November.csv" in answer.headers["Content-Disposition"]
    rows = list(csv.reader(io.StringIO(answer.data.decode("utf-8-sig"))))
    assert len(rows) == 5
    assert rows[0][0] == "Number"
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)
    assert any("HYPERLINK" in cell for row in rows for cell in row)


# The list


@pytest.mark.sqlite_only
def test_while_somebody_holds_the_mail_a_batch_does_not_promise_when_it_is_done(
    month_end: Flask, olive: Visitor
) -> None:
    where = fill(olive)
    send(olive, where)
    freeze(month_end)
    assert "Done by" in olive.words(where)
    olive.post("/outbox/hold", {"why": "Wrong bank account"})
    words = olive.words(where)
    assert "All mail waits" in words and "Done by" not in words and "on the way" not in words
    olive.post("/outbox/release")
    olive.post("/outbox/mailboxes/1/hold")
    words = olive.words(where)
    assert "holds office@brightspark.example: what is to leave there waits." in words
    assert "Done by" not in words


@pytest.mark.sqlite_only
def test_the_list_of_batches_teaches_at_first_and_then_shows_drafts_before_what_was_sent(
    month_end: Flask, olive: Visitor
) -> None:
    assert "No batches yet" in olive.words("/batches")
    sent = fill(olive, q="INV-0042")
    send(olive, sent)
    fill(olive, name="December")
    words = olive.words("/batches")
    assert words.index("December") < words.index("November")
    assert "2 ready, 1 not ready" in words
    assert "aria-current" in olive.get("/batches").text
    assert olive.get("/batches?before=1").status_code == 200
    assert olive.get("/batches?before=x").status_code == 200


@pytest.mark.sqlite_only
def test_what_is_not_there_is_not_found_and_what_is_over_is_over(olive: Visitor) -> None:
    for address in ("/batches/99", "/batches/99/edit", "/batches/99/results.csv"):
        assert olive.get(address).status_code == 404, address
    where = fill(olive, q="INV-0042")
    send(olive, where)
    assert olive.get(f"{where}/filling").location == where
    assert olive.get(f"{where}/completion").location == where
    for deed in ("filling", "removal", "discarding", "check"):
        assert olive.post(f"{where}/{deed}", {"all": "yes", "again": "yes"}).location == where
        assert "Sent by Olive Park" in olive.words(where)


def test_a_batch_is_stopped_and_what_had_left_stays_sent(month_end: Flask, olive: Visitor) -> None:
    where = fill(olive)
    send(olive, where)
    freeze(month_end, inv_0042=State.ACCEPTED)
    assert "2 messages have not left yet" in olive.words(f"{where}/edit")
    answer = said_after(olive, f"{where}/stopping", {})
    assert "were not sent. They can go into another batch." in answer
    with month_end.app_context():
        found = db.session.scalars(select(Dispatch)).unique()
        stands = {one.document.number: one.state for one in found}
    assert stands == {
        "INV-0042": State.ACCEPTED,
        "INV-0043": State.CANCELLED,
        "INV-0044": State.CANCELLED,
    }
    assert "Nothing was left to stop." in said_after(olive, f"{where}/stopping", {})


def test_what_a_batch_left_stands_on_the_home_page_until_it_is_taken_up(
    month_end: Flask, olive: Visitor
) -> None:
    where = fill(olive)
    assert "not sent" not in olive.words("/")
    send(olive, where)
    freeze(month_end, inv_0042=State.ACCEPTED, inv_0043=State.ACCEPTED, inv_0044=State.ACCEPTED)
    page = olive.words("/")
    assert "A batch needs you" in page
    assert "1 of “November” was not sent" in page
    olive.post(f"{where}/retry")
    assert "was not sent" not in olive.words("/")


def test_the_way_back_to_a_draft_stands_where_something_is_put_right(olive: Visitor) -> None:
    where = fill(olive)
    assert "Back to the batch" not in olive.words("/properties")
    olive.get(where)
    assert "Back to the batch “November”" in olive.words("/properties/1")
    assert "Back to the batch “November”" in olive.words("/contacts")
    assert "Back to the batch" not in olive.words("/batches")
    send(olive, where)
    assert "Back to the batch" not in olive.words("/properties/1")


def test_a_batch_of_days_says_which_mailboxes_share_it_and_what_another_would_change(
    month_end: Flask, olive: Visitor, tom: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four messages a day, half of them kept for people."""
    tight = month_end.config["PORTAL"].model_copy(
        update={"GMAIL_DAILY_CONSUMER": 4, "GMAIL_RECIPIENTS_CONSUMER": 4}
    )
    monkeypatch.setitem(month_end.config, "PORTAL", tight)
    where = fill(olive)
    alone = said(olive.get(f"{where}/completion"))
    assert "and 2 from batches in 24 hours" in alone
    assert f"One more mailbox that may send as {OFFICE} would make it today" in alone
    assert "Connect another mailbox" in alone
    assert "Connect another mailbox" not in said(tom.get(where))
    with month_end.app_context():
        box = Mailbox(account_sub="a", email=ACCOUNTS, scopes=" ".join(FULL_SCOPES))
        box.addresses = [Address(email=OFFICE, verification="accepted")]
        db.session.add(box)
        db.session.commit()
    shared = said(olive.get(f"{where}/completion"))
    assert f"It leaves through 2 mailboxes at once: 2 by {OFFICE} and 1 by {ACCOUNTS}." in shared
    assert "more mailbox" not in shared
    told = said(olive.get(olive.post("/settings/sharing", {"share": "no"}).location))
    assert "A batch leaves through one mailbox" in told
    kept = olive.get(f"{where}/completion")
    assert "By your settings each batch leaves through one mailbox. Shared by" in said(kept)
    assert "mailboxes at once" not in said(kept) and "more mailbox" not in said(kept)
    assert "/settings#sharing" in kept.text
    assert "/settings#sharing" not in tom.get(where).text
    assert "Choose one" in said(olive.get(olive.post("/settings/sharing").location))
    olive.post("/settings/sharing", {"share": "yes"})
    assert "mailboxes at once" in said(olive.get(f"{where}/completion"))
