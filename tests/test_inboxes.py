"""What comes into a mailbox: read from the local Google, tied to its sending, and followed."""

import base64
from collections.abc import Iterator
from datetime import timedelta
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

import pytest
import requests
from flask import Flask
from sqlalchemy import func, select, update

from portal import bounces, delivery, dispatch, inboxes
from portal.bounces import Arrival, Inbox, Standing, Tie, following
from portal.columns import now
from portal.dispatch import Dispatch, Proof, State
from portal.extensions import db
from portal.incoming import Sort
from portal.mailboxes import Health, Mailbox
from portal.providers.gmail import FULL_SCOPES, WHOLE_SCOPES
from tests import factories, servers
from tests.factories import MARY, OFFICE

if TYPE_CHECKING:
    from portal.sandbox.server import SandboxServer

NO_SUCH = "550 5.1.1 The account does not exist."


@pytest.fixture
def app(database: str, redis_url: str, local_google: "SandboxServer") -> Iterator[Flask]:
    with servers.sending(database, redis_url, local_google.url) as made:
        yield made


@pytest.fixture
def office(app: Flask, local_google: "SandboxServer") -> Mailbox:
    return factories.connected(local_google.url)


@pytest.fixture
def open_office(app: Flask, local_google: "SandboxServer") -> Mailbox:
    """The company's mailbox, whose messages may be read whole."""
    return factories.connected(local_google.url, scopes=WHOLE_SCOPES)


def tell(google: "SandboxServer", what: str, **words: Any) -> Any:
    answer = requests.post(f"{google.url}/_sandbox/{what}", json=words, timeout=5)
    answer.raise_for_status()
    return answer.json()


def sent() -> Dispatch:
    """Sent while nobody reads what comes in: look() does that, at its own time."""
    for box in db.session.scalars(select(Mailbox)):
        later = {"mark": "", "pending": [], "since": now() - inboxes.BEGINS}
        db.session.merge(Inbox(mailbox_id=box.id, due_at=now() + timedelta(minutes=30), **later))
    asked = factories.asked()
    delivery.drain()
    db.session.expire_all()
    return dispatch.load(asked.id)


def look() -> None:
    db.session.execute(update(Inbox).values(due_at=None))
    db.session.commit()
    inboxes.look()
    db.session.expire_all()


def arrive(google: "SandboxServer", mail: EmailMessage) -> None:
    raw = base64.urlsafe_b64encode(mail.as_bytes()).decode()
    tell(google, "deliver", account=OFFICE, raw=raw)


def a_mail(sender: str, subject: str, text: str = "Thanks.", **headers: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = sender, OFFICE, subject
    for name, value in headers.items():
        mail[name.replace("_", "-")] = value
    mail.set_content(text)
    return mail


def arrivals() -> list[Arrival]:
    return list(db.session.scalars(select(Arrival).order_by(Arrival.id)))


def test_what_came_back_is_said_of_the_document_and_the_address(
    open_office: Mailbox, local_google: "SandboxServer"
) -> None:
    tell(local_google, "undeliverable", email=MARY, status="5.1.1", diagnostic=NO_SUCH)
    one = sent()
    look()
    one = dispatch.load(one.id)
    assert one.state == State.RETURNED
    assert one.state_note == f"{MARY}: This address does not exist."
    assert one.document.email_status == "returned"
    [arrival] = arrivals()
    assert (arrival.standing, arrival.sort) == (Standing.FOLLOWED, Sort.BOUNCE)
    assert arrival.tied_by in (Tie.TOKEN, Tie.MESSAGE_ID)
    assert arrival.failed[0]["words"]
    assert MARY in bounces.cautions_of([MARY.upper()])
    look()
    assert len(arrivals()) == 1


def test_where_only_heads_may_be_read_it_says_where_the_reason_stands(
    office: Mailbox, local_google: "SandboxServer"
) -> None:
    tell(local_google, "undeliverable", email=MARY, status="5.1.1", diagnostic=NO_SUCH)
    one = sent()
    look()
    one = dispatch.load(one.id)
    assert one.state == State.RETURNED
    assert one.state_note == f"{MARY}: {following.UNREAD}"
    assert arrivals()[0].link


def test_a_reply_is_tied_and_says_that_the_address_is_right(
    office: Mailbox, local_google: "SandboxServer"
) -> None:
    one = sent()
    bounces.cautions.put(
        {"email": MARY, "verdict": "soft", "reason": "mailbox_full", "words": ""},
        one.requested_at,
        one.id,
    )
    db.session.commit()
    answer = a_mail(f"Mary Lee <{MARY}>", "Re: your invoice", In_Reply_To=one.proof_message_id)
    arrive(local_google, answer)
    look()
    [arrival] = bounces.of_document(one.document_id or 0)
    assert (arrival.is_reply, arrival.who, arrival.dispatch_id) == (True, "Mary Lee", one.id)
    assert dispatch.load(one.id).state == State.ACCEPTED
    assert bounces.cautions_of([MARY]) == {}


def test_what_is_about_no_sending_is_forgotten(
    office: Mailbox, local_google: "SandboxServer"
) -> None:
    sent()
    arrive(local_google, a_mail("A friend <friend@elsewhere.example>", "Lunch?"))
    look()
    assert arrivals() == []
    assert db.session.get_one(Inbox, office.id).looked_at is not None


def test_a_forged_report_changes_nothing_until_a_person_has_said_so(
    office: Mailbox, local_google: "SandboxServer"
) -> None:
    one = sent()
    forged = a_mail(
        "Mail Delivery Subsystem <mailer-daemon@googlemail.com>",
        "Delivery Status Notification (Failure)",
        f"Address not found\n\n{NO_SUCH}",
        X_Failed_Recipients=MARY,
        Auto_Submitted="auto-replied",
    )
    arrive(local_google, forged)
    look()
    [arrival] = bounces.asked()
    assert (arrival.tied_by, arrival.dispatch_id) == (Tie.GUESS, one.id)
    assert dispatch.load(one.id).state == State.ACCEPTED
    assert bounces.cautions_of([MARY]) == {}
    assert bounces.say(arrival, factories.olive(), is_it=True)
    assert dispatch.load(one.id).state == State.RETURNED
    assert not bounces.say(arrival, factories.olive(), is_it=False)


def test_what_comes_back_before_its_result_is_stored_waits_for_it(
    office: Mailbox, local_google: "SandboxServer"
) -> None:
    tell(local_google, "undeliverable", email=MARY, status="5.1.1", diagnostic=NO_SUCH)
    one = sent()
    # As it stands between Google's answer and the commit.
    db.session.execute(update(Dispatch).values(state=State.SUBMITTING, proof=Proof.UNREAD))
    db.session.commit()
    look()
    assert [one.standing for one in arrivals()] == [Standing.EARLY]
    db.session.execute(update(Dispatch).values(state=State.ACCEPTED))
    db.session.commit()
    look()
    assert dispatch.load(one.id).state == State.RETURNED


def test_what_came_back_settles_what_was_unclear(
    office: Mailbox, local_google: "SandboxServer"
) -> None:
    tell(local_google, "undeliverable", email=MARY, status="5.1.1", diagnostic=NO_SUCH)
    one = sent()
    db.session.execute(update(Dispatch).values(state=State.UNKNOWN, needs_person=True))
    db.session.commit()
    look()
    found = dispatch.load(one.id)
    assert (found.state, found.needs_person) == (State.RETURNED, False)


def test_a_bookmark_that_google_forgot_begins_again_and_tells_nothing_twice(
    office: Mailbox, local_google: "SandboxServer"
) -> None:
    tell(local_google, "undeliverable", email=MARY, status="5.1.1", diagnostic=NO_SUCH)
    one = sent()
    look()
    db.session.execute(update(Inbox).values(mark="1"))
    db.session.commit()
    look()
    assert len(arrivals()) == 1
    assert len([event for event in dispatch.load(one.id).events if "back" in event.text]) == 1


def test_a_mailbox_that_numbers_its_messages_anew_tells_nothing_twice(
    office: Mailbox, local_google: "SandboxServer"
) -> None:
    one = sent()
    arrive(local_google, a_mail(f"Mary Lee <{MARY}>", "Re", In_Reply_To=one.proof_message_id))
    look()
    db.session.execute(update(Arrival).values(provider_id="as it was called before"))
    db.session.execute(update(Inbox).values(mark="1"))
    db.session.commit()
    look()
    assert len(arrivals()) == 1


def test_a_mailbox_that_grants_no_reading_is_left_alone(
    app: Flask, local_google: "SandboxServer"
) -> None:
    sends = tuple(one for one in FULL_SCOPES if "metadata" not in one and "readonly" not in one)
    factories.connected(local_google.url, scopes=sends)
    look()
    assert db.session.scalar(select(func.count()).select_from(Inbox)) == 0


def test_access_that_ends_in_the_middle_says_so_and_goes_on_after_signing_in(
    office: Mailbox, local_google: "SandboxServer"
) -> None:
    one = sent()
    tell(local_google, "revoke", email=OFFICE)
    look()
    inbox = db.session.get_one(Inbox, office.id)
    assert inbox.problem and inbox.failing_since
    assert db.session.get_one(Mailbox, office.id).health == Health.NEEDS_SIGN_IN
    answer = a_mail(f"Mary Lee <{MARY}>", "Re: your invoice", In_Reply_To=one.proof_message_id)
    arrive(local_google, answer)
    factories.connected(local_google.url)
    look()
    assert [found.is_reply for found in arrivals()] == [True]
    assert db.session.get_one(Inbox, office.id).problem == ""
