"""What came in about a sending, on the pages: came back, who replied, whose move it is."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from bs4 import BeautifulSoup
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from portal import batches, bounces, history
from portal.bounces import Arrival, Caution, Inbox, Move, Standing, moves
from portal.columns import now
from portal.dispatch import Dispatch, Proof, State
from portal.documents import Document
from portal.extensions import db
from portal.incoming import Clues, Failed, Letter, Reason, Sort
from portal.incoming.reasons import VERDICTS
from portal.mailboxes import Health, Mailbox
from portal.people import Contact
from portal.providers.gmail import FULL_SCOPES, SEND_ONLY_SCOPES, WHOLE_SCOPES
from portal.providers.provider import Incoming
from tests.factories import (
    MARY,
    asked,
    copper,
    document,
    nia,
    office_mailbox,
    olive,
    tom,
)
from tests.visitor import Visitor, said, visitor

WORDS = "550 5.1.1 The account does not exist."
RIGHT = "mary@lee.example"
PAGE, CORRECT = "/dispatches/1", "/dispatches/1/correction"

Came = Callable[..., None]


@pytest.fixture
def trader(app: Flask) -> Visitor:
    return visitor(app, tom)


@pytest.fixture
def sent(app: Flask) -> None:
    """Tom's invoice for Mary, accepted by Gmail; whole messages may be read."""
    with app.app_context():
        office_mailbox().scopes = " ".join(WHOLE_SCOPES)
        accepted()


def accepted(**chosen: Any) -> Dispatch:
    one = asked(document(author=tom()), tom(), **chosen)
    one.state, one.proof, one.accepted_at = State.ACCEPTED, Proof.MATCHES, now()
    db.session.commit()
    return one


@pytest.fixture
def came(app: Flask, sent: None) -> Came:
    """Lets a mail about the first sending come in, as the watch keeps it."""

    def put(
        sort: Sort, *failed: tuple[str, Reason], clues: Clues | None = None, **more: Any
    ) -> None:
        with app.app_context():
            one, box = db.session.get_one(Dispatch, 1), db.session.query(Mailbox).first()
            assert box
            written = {"sender": MARY, "sender_name": "Mary Lee", "read": "whole", **more}
            letter = Letter(
                sort=sort,
                subject="Re: your invoice",
                at=None,
                failed=tuple(
                    Failed(email, VERDICTS[reason], "5.1.1", reason, WORDS)
                    for email, reason in failed
                ),
                clues=clues or Clues(tokens=(one.token,)),
                how="",
                loops=False,
                **{name: written[name] for name in ("sender", "sender_name", "read")},
            )
            number = db.session.query(Arrival).count()
            at = more.get("at") or now()
            link = f"https://mail.example/{number}"
            came_in = Incoming(f"m{number}", "", at, b"", (), link=link)
            assert bounces.keep(box.id, came_in, letter)
            db.session.commit()

    return put


def filled_in(who: Visitor, **more: str) -> dict[str, str]:
    """The page's form as a browser sends it."""
    page = BeautifulSoup(who.get(CORRECT).text, "html.parser")
    found = {str(one["name"]): str(one.get("value", "")) for one in page.select("#correct input")}
    found |= {str(one["name"]): one.text.strip() for one in page.select("#correct textarea")}
    for name in ("keep", "others", "csrf_token"):
        found.pop(name, None)
    return found | {"keep": "contact"} | more


def sendings(app: Flask) -> list[Dispatch]:
    with app.app_context():
        return list(db.session.scalars(select(Dispatch).order_by(Dispatch.id)).unique())


def test_a_wrong_address_is_corrected_and_sent_to_once(
    app: Flask, trader: Visitor, came: Came
) -> None:
    came(Sort.BOUNCE, (MARY, Reason.NO_SUCH_ADDRESS))
    page = trader.get(PAGE)
    assert "Came back: this address does not exist" in said(page)
    assert "Check its spelling with the customer, then send again." in said(page)
    assert WORDS in said(page) and f'data-copy="{WORDS}"' in page.text
    assert f'class="btn primary" href="{CORRECT}"' in page.text
    assert MARY in trader.words(CORRECT)
    unchanged = trader.post(CORRECT, filled_in(trader))
    assert unchanged.status_code == 422 and "This is the address it came back from" in said(
        unchanged
    )
    no_address = trader.post(CORRECT, filled_in(trader, right_0="mary lee"))
    assert no_address.status_code == 422 and 'value="mary lee"' in no_address.text
    doubtful = trader.post(CORRECT, filled_in(trader, right_0="mary@gmial.com"))
    assert doubtful.status_code == 422 and "Did you mean mary@gmail.com ?" in said(doubtful)
    assert len(sendings(app)) == 1
    form = filled_in(trader, right_0=f" {RIGHT} ")
    assert [trader.post(CORRECT, form).location for _ in range(2)] == ["/dispatches/2"] * 2
    first, second = sendings(app)
    assert (second.to, second.cc, second.body) == ([RIGHT], [], first.body)
    assert "Mary Lee" in second.recipients_why[RIGHT]
    with app.app_context():
        mary = db.session.query(Contact).one()
        assert mary.email == RIGHT
        told = [one.text for one in history.of("contact", mary.id)]
        assert told == [f"E-mail: {MARY} → {RIGHT}."]
    words = trader.words(PAGE)
    assert "It came back. The address was corrected." in words
    assert "Look at sending 2" in words and trader.get(CORRECT).location == PAGE


@pytest.mark.sqlite_only
def test_a_doubtful_address_goes_out_as_it_was_meant_or_as_it_was_kept(
    app: Flask, trader: Visitor, came: Came
) -> None:
    came(Sort.BOUNCE, (MARY, Reason.NO_SUCH_ADDRESS))
    typed = filled_in(trader, right_0="mary@gmial.com")
    assert trader.post(CORRECT, {**typed, "meant_0": "mary@gmail.com"}).location == "/dispatches/2"
    assert sendings(app)[1].to == ["mary@gmail.com"]


@pytest.mark.sqlite_only
def test_an_address_may_be_right_for_this_document_only(
    app: Flask, trader: Visitor, came: Came
) -> None:
    came(Sort.BOUNCE, (MARY, Reason.ADDRESS_CLOSED))
    with app.app_context():
        copper()
    clash = trader.post(CORRECT, filled_in(trader, right_0="orders@copperco.example"))
    assert clash.status_code == 422
    assert "Copper & Co has this address. Choose “Only this time”" in said(clash)
    assert 'value="orders@copperco.example"' in clash.text and len(sendings(app)) == 1
    here = filled_in(trader, right_0="orders@copperco.example", keep="document")
    assert trader.post(CORRECT, here).location == "/dispatches/2"
    with app.app_context():
        assert {one.email for one in db.session.query(Contact)} == {MARY, "orders@copperco.example"}


@pytest.mark.sqlite_only
def test_who_has_it_already_is_not_sent_it_again_unless_somebody_wants_that(
    app: Flask, trader: Visitor
) -> None:
    with app.app_context():
        office_mailbox()
        copies = ("bookkeeper@homes.example", "owner@homes.example")
        one = accepted(cc=copies)
        one.state = State.RETURNED
        keep = {"mailbox_id": 1, "provider_id": "m", "at": now(), "standing": Standing.FOLLOWED}
        failed = {"email": copies[0], "verdict": "hard", "reason": "no_such_address"}
        arrival = Arrival(**keep, sort=Sort.BOUNCE, whole=True, dispatch_id=one.id)
        arrival.failed = [{**failed, "status": "5.1.1", "words": WORDS}]
        db.session.add(arrival)
        db.session.commit()
    assert "Came back for 1 of 3" in trader.words(PAGE)
    page = trader.words(CORRECT)
    assert f"Nothing came back for {MARY} , owner@homes.example , so these are left out." in page
    form = filled_in(trader, right_0="books@homes.example")
    assert trader.post(CORRECT, form).location == "/dispatches/2"
    assert (sendings(app)[1].to, sendings(app)[1].cc) == (["books@homes.example"], [])


@pytest.mark.sqlite_only
def test_the_others_get_it_once_more_where_that_is_ticked(
    app: Flask, trader: Visitor, came: Came
) -> None:
    with app.app_context():
        one = db.session.get_one(Dispatch, 1)
        one.cc = ["owner@homes.example"]
        db.session.commit()
    came(Sort.BOUNCE, (MARY, Reason.NO_SUCH_ADDRESS))
    form = filled_in(trader, right_0=RIGHT, others="y")
    assert trader.post(CORRECT, form).location == "/dispatches/2"
    assert (sendings(app)[1].to, sendings(app)[1].cc) == ([RIGHT], ["owner@homes.example"])


@pytest.mark.sqlite_only
def test_a_page_that_is_no_longer_true_sends_nothing(
    app: Flask, trader: Visitor, came: Came
) -> None:
    assert trader.get(CORRECT).location == PAGE  # nothing came back yet
    came(Sort.BOUNCE, (MARY, Reason.NO_SUCH_ADDRESS))
    form = filled_in(trader, right_0=RIGHT)
    changed = trader.post(CORRECT, {**form, "version": "7", "sender": "tom@old.example"})
    assert changed.status_code == 422 and "after you opened this page" in said(changed)
    assert f'value="{RIGHT}"' in changed.text and "not from tom@old.example" in said(changed)
    assert len(sendings(app)) == 1


@pytest.mark.sqlite_only
def test_what_passes_by_itself_is_tried_again_after_a_day(
    app: Flask, trader: Visitor, came: Came
) -> None:
    came(Sort.BOUNCE, (MARY, Reason.MAILBOX_FULL))
    page = trader.get(PAGE)
    assert "Came back: their mailbox is full" in said(page)
    assert 'class="btn primary" href="/dispatches/1/resending"' in page.text
    assert "Try again?" not in trader.words("/")
    with app.app_context():
        db.session.query(Arrival).one().at -= timedelta(days=2)
        db.session.commit()
    assert "Try again?" in trader.words("/")


@pytest.mark.sqlite_only
def test_what_the_senders_set_up_lacks_leads_to_the_domain(trader: Visitor, came: Came) -> None:
    came(Sort.BOUNCE, (MARY, Reason.SENDER_NOT_ALLOWED))
    there = 'href="/domains/brightspark.example"'
    page = trader.get(PAGE)
    assert "Came back: the address is fine" in said(page) and f'primary" {there}' in page.text
    assert there in trader.get("/").text


def test_replies_and_all_else_that_came_in_are_told_in_plain_words(
    app: Flask, trader: Visitor, came: Came
) -> None:
    for sort in (Sort.REPLY, Sort.AUTO_REPLY, Sort.CHALLENGE, Sort.DELIVERED):
        came(sort)
    came(Sort.DELAY, (MARY, Reason.TEMPORARY), sender_name="Mail Delivery Subsystem")
    page = trader.get(PAGE)
    for told in (
        "Mary Lee replied",
        "An automatic answer from Mary Lee",
        "Mary Lee holds it back until somebody answers",
        "confirmed that it arrived",
        "Not delivered yet",
    ):
        assert told in said(page)
    assert 'href="https://mail.example/0"' in page.text and "Read it in Gmail" in page.text
    assert "Accepted by Gmail" in said(page)
    home = visitor(app, olive).words("/")
    assert "1 reply today" in home and "Mary Lee replied" in home
    assert "reply today" not in visitor(app, nia).words("/")
    assert "Mary Lee replied" in trader.words("/documents/1")


INBOXES: dict[str, dict[str, Any]] = {
    "read 2 minutes ago": {"looked_at": timedelta(minutes=2)},
    "has not been read yet": {},
    "what came in since is not known here": {"looked_at": timedelta(hours=3)},
    "We keep trying": {"failing_since": timedelta(hours=1), "problem": "Gmail did not answer."},
}


@pytest.mark.sqlite_only
def test_what_cannot_be_seen_is_said(app: Flask, sent: None, trader: Visitor) -> None:
    for told, stands in INBOXES.items():
        with app.app_context():
            times = {
                name: now() - value if isinstance(value, timedelta) else value
                for name, value in stands.items()
            }
            db.session.query(Inbox).delete()
            db.session.add(Inbox(mailbox_id=1, **times))
            db.session.commit()
        words = trader.words(PAGE)
        assert told in words
        assert ("Nothing has come back so far" in words) == (told == "read 2 minutes ago")
    for scopes, health, told in (
        (SEND_ONLY_SCOPES, Health.CONNECTED, "it cannot see whether something came back"),
        (FULL_SCOPES, Health.NEEDS_SIGN_IN, "is not being read"),
    ):
        with app.app_context():
            box = db.session.query(Mailbox).one()
            box.scopes, box.health = " ".join(scopes), health
            db.session.commit()
        assert told in trader.words(PAGE)


def test_a_guess_changes_nothing_until_somebody_says_that_it_is_so(
    app: Flask, trader: Visitor, came: Came
) -> None:
    for _ in range(2):
        clues = Clues(recipients=(MARY,))
        came(Sort.BOUNCE, (MARY, Reason.NO_SUCH_ADDRESS), clues=clues, sender_name="Mail Daemon")
    page = trader.words(PAGE)
    assert "A report came in that may be about this one" in page and "Accepted by Gmail" in page
    assert "2 need you" in trader.words("/") and "Say whether it is" in trader.words("/")
    assert "Say whether it is" not in visitor(app, nia).words("/")
    assert trader.post("/arrivals/1/answer", {"about": "no"}).location == PAGE
    assert "Accepted by Gmail" in trader.words(PAGE)
    assert "Choose whether" in said(trader.post("/arrivals/2/answer", follow_redirects=True))
    trader.post("/arrivals/2/answer", {"about": "yes", "next": "/"})
    assert "Came back: this address does not exist" in trader.words(PAGE)
    twice = trader.post("/arrivals/2/answer", {"about": "no"}, follow_redirects=True)
    assert "Somebody has said so already." in said(twice)
    assert trader.post("/arrivals/9/answer", {"about": "no"}).status_code == 404


def test_an_address_that_failed_is_marked_until_somebody_vouches_for_it(
    app: Flask, trader: Visitor, came: Came
) -> None:
    came(Sort.BOUNCE, (MARY, Reason.MAILBOX_FULL))
    assert "Mail came back" in trader.words("/contacts")
    with app.app_context():
        assert bounces.cautions_of([MARY])
        mary = db.session.query(Contact).one().id
    page = trader.words(f"/contacts/{mary}")
    assert "Mail to this address came back" in page and "Their mailbox is full." in page
    trader.post(f"/contacts/{mary}/vouching")
    page = trader.words(f"/contacts/{mary}")
    assert "Mail to this address came back" not in page and f"{MARY} is right" in page
    with app.app_context():
        assert db.session.query(Caution).one().cleared_by_id == tom().id


@pytest.mark.sqlite_only
def test_home_counts_what_came_back_and_leads_to_it(
    app: Flask, trader: Visitor, came: Came
) -> None:
    came(Sort.BOUNCE, (MARY, Reason.NO_SUCH_ADDRESS))
    mine = trader.get("/")
    assert "1 of yours came back" in said(mine)
    assert "/documents/invoice?email_status=returned" in mine.text
    assert f'href="{CORRECT}"' in mine.text
    assert "1 came back" in visitor(app, olive).words("/")
    assert "came back" not in visitor(app, nia).words("/")


@given(st.lists(st.sampled_from(list(Reason))))
def test_the_most_urgent_move_is_told_first(reasons: list[Reason]) -> None:
    move = bounces.move_after(reasons)
    wanted = {moves.MOVES[one] for one in reasons} or {Move.CORRECT}
    assert move in wanted
    assert all(list(Move).index(move) <= list(Move).index(one) for one in wanted)


@pytest.mark.sqlite_only
def test_a_batch_says_what_came_back_and_how_many_replied(
    app: Flask, trader: Visitor, came: Came
) -> None:
    with app.app_context():
        for number in ("INV-0051", "INV-0052"):
            document(number=number, author=olive())
        batch = batches.make("November", olive())
        wanted = select(Document.id).where(Document.number.like("INV-005_"))
        batches.fill(batch, wanted, olive())
        batches.check(batch, olive())
        batches.complete(batch, olive(), batch.version)
        batches.prepare()
        mine = list(db.session.scalars(select(Dispatch).where(Dispatch.batch_id == batch.id)))
        for one in mine:
            one.state, one.accepted_at = State.ACCEPTED, now()
        tokens = [one.token for one in mine]
        there = f"/dispatches/{mine[0].id}/correction"
        db.session.commit()
    came(Sort.BOUNCE, (MARY, Reason.NO_SUCH_ADDRESS), clues=Clues(tokens=(tokens[0],)))
    came(Sort.REPLY, clues=Clues(tokens=(tokens[1],)))
    sheet = trader.get("/batches/1")
    assert "1 was replied to." in said(sheet) and "1 came back" in said(sheet)
    returned = trader.get("/batches/1?group=returned")
    assert "This address does not exist." in said(returned) and there in returned.text


@pytest.mark.sqlite_only
def test_a_mailbox_says_how_much_is_read_and_what_more_would_be_seen(
    app: Flask, sent: None
) -> None:
    manager = visitor(app, olive)
    ask = "Let the portal read why mail came back"
    assert "Whole messages are read" in manager.words("/settings")
    assert ask not in manager.words("/settings") and "unticked" not in manager.words("/settings")
    with app.app_context():
        db.session.query(Mailbox).one().scopes = " ".join(FULL_SCOPES)
        db.session.commit()
    page = manager.words("/settings")
    assert "Who wrote, and the subject, are read" in page and ask in page


@pytest.mark.sqlite_only
def test_only_a_manager_decides_about_the_portals_own_mail(
    app: Flask, trader: Visitor, came: Came
) -> None:
    came(Sort.BOUNCE, (MARY, Reason.NO_SUCH_ADDRESS), clues=Clues(recipients=(MARY,)))
    with app.app_context():
        db.session.get_one(Dispatch, 1).purpose = "notice"
        db.session.commit()
    assert trader.post("/arrivals/1/answer", {"about": "yes"}).status_code == 403
