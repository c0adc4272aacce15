"""Mary says that she has not got it: each situation of the office's guide, asked in a browser.

The facts are put into the store, and nobody sends: what each page says must follow from them alone.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from redis import Redis
from sqlalchemy import select

from portal import batches, queueing
from portal.bounces import Arrival, Inbox, Standing, Tie
from portal.columns import now
from portal.dispatch import Dispatch, Proof, State
from portal.documents import Document
from portal.extensions import db
from portal.incoming import Sort
from portal.mailboxes import Health, Mailbox
from portal.places import Property, PropertyContact
from tests import servers
from tests.factories import (
    MARY,
    OFFICE,
    PASSWORD,
    asked,
    contact,
    document,
    hill_st,
    mary,
    office_mailbox,
    olive,
)

pytestmark = pytest.mark.sqlite_only

#: How each document's page must answer: the verdict, how its sentence goes, and the first button
#: that puts it right ("" where there is none).
ANSWERS = {
    "nobody to send it to, in a draft": ("never", "its batch “November” is still a draft", "Open "),
    "somebody to send it to, in a draft": ("never", "its batch “December” is", "Open the batch"),
    "in the queue for more than an hour": ("not_yet", "it is in the queue since", "Open Sys"),
    "sent": ("likely", "nothing has come back in 2 days", ""),
    "from nobody's mailbox": ("not_yet", "it is on hold since", "Open this sending"),
    "from a mailbox whose password was changed": ("not_yet", "it is on hold", "Open this sending"),
    "to an address that does not exist": ("no", "This address does not exist.", "Correct the"),
    "to an address that is somebody else's": ("likely", "Gmail accepted it", ""),
    "to nobody ticked": ("never", "there is nobody to send it to", "Open 3 Low Rd"),
    "answered": ("yes", "Mary Lee replied", "Open that mail"),
    "where nobody may look": ("left", "Whether it came back cannot be seen here", "Open that"),
}
#: Besides the verdict: the step that says why, and what it says.
STEPS = {
    "in the queue for more than an hour": ("waiting", "nothing moves since"),
    "from a mailbox whose password was changed": ("mailbox", "sign in to Google again"),
    "to an address that is somebody else's": ("addresses", "is the address of Copper & Co"),
    "to nobody ticked": ("people", "has no billing contact"),
}


@pytest.fixture
def portal(sqlite_template: Path, tmp_path: Path, redis_url: str) -> Iterator[tuple[str, Any]]:
    """A portal that serves pages and sends nothing: its address, and the app."""
    store = tmp_path / "inquiry.sqlite3"
    store.write_bytes(sqlite_template.read_bytes())
    with servers.listening_socket() as (listener, port):
        stores = {"DATABASE_URL": f"sqlite:///{store}", "REDIS_URL": redis_url}
        url = f"http://127.0.0.1:{port}"
        app = servers.make_app(servers.config_of(**stores, PUBLIC_URL=url, PORT=str(port)))
        # A worker says that it lives; what it has not taken up for hours is stuck.
        Redis.from_url(redis_url).set(queueing.ALIVE_KEY, "yes")
        with servers.serving(app, listener):
            yield url, app


def sent(state: State, to: str = MARY, **values: Any) -> int:
    """An invoice that was sent two days ago and stands like this; the document's id."""
    one = asked(document(author=olive(), site=hill_st()), olive(), to=to)
    one.state, one.state_since = state, now() - timedelta(hours=49)
    one.requested_at = one.queued_at = one.state_since
    if state in (State.ACCEPTED, State.RETURNED):
        one.accepted_at = one.handed_over_at = one.state_since
        one.proof, one.proof_from, one.provider_message_id = Proof.MATCHES, OFFICE, "sent"
    for name, value in values.items():
        setattr(one, name, value)
    one.document.email_status = state
    db.session.commit()
    return one.document.id


def came(document_id: int, sort: Sort, **known: Any) -> int:
    """The same, with a mail that came in about it."""
    one = db.session.scalars(select(Dispatch).where(Dispatch.document_id == document_id)).one()
    made = Arrival(mailbox_id=one.mailbox_id, provider_id=f"{one.id}", at=now(), sort=sort, **known)
    made.standing, made.tied_by, made.dispatch_id = Standing.FOLLOWED, Tie.TOKEN, one.id
    made.sender, made.sender_name, made.link = MARY, "Mary Lee", "https://mail.example/9"
    db.session.add(made)
    db.session.commit()
    return document_id


def drafted(name: str, site: Property) -> int:
    """An invoice in a batch that was not completed."""
    one = document(author=olive(), site=site)
    batch = batches.make(name, olive())
    batches.fill(batch, select(Document.id).where(Document.id == one.id), olive())
    return one.id


def low_rd() -> Property:
    """A property whose contact is ticked for invoices, but not as Billing."""
    made = Property(name="3 Low Rd", customer=mary())
    made.contacts = [PropertyContact(contact=mary(), primary=True, email_invoice=True)]
    db.session.add(made)
    db.session.commit()
    return made


def another(email: str, **values: Any) -> int:
    """A further mailbox, with an inbox that was read just now; its id."""
    box = Mailbox(account_sub=email, email=email, scopes=mailbox_scopes(), **values)
    db.session.add(box)
    db.session.flush()
    db.session.add(Inbox(mailbox_id=box.id, looked_at=now(), pending=[]))
    db.session.commit()
    return box.id


def mailbox_scopes() -> str:
    return db.session.get_one(Mailbox, 1).scopes


def prepare() -> dict[str, int]:
    """Every situation with its document."""
    db.session.add(Inbox(mailbox_id=office_mailbox().id, looked_at=now(), pending=[]))
    contact(business="Copper & Co", email="orders@copperco.example", type="supplier")
    broken = another("broken@brightspark.example", health=Health.NEEDS_SIGN_IN)
    slow = another("slow@brightspark.example")
    closed = another("closed@brightspark.example")
    db.session.get_one(Mailbox, closed).scopes = "https://www.googleapis.com/auth/gmail.send"
    bounce = {"email": MARY, "verdict": "hard", "reason": "no_such_address"}
    bounce |= {"status": "5.1.1", "words": "550 5.1.1 No such user"}
    sign_in = "broken@brightspark.example needs someone to sign in to Google again."
    low = low_rd()
    return {
        "nobody to send it to, in a draft": drafted("November", low),
        "somebody to send it to, in a draft": drafted("December", hill_st()),
        "in the queue for more than an hour": sent(State.QUEUED, mailbox_id=slow),
        "sent": sent(State.ACCEPTED),
        "from nobody's mailbox": sent(
            State.HELD, mailbox_id=None, state_note="No connected mailbox may send as nia@."
        ),
        "from a mailbox whose password was changed": sent(
            State.HELD, mailbox_id=broken, state_note=sign_in
        ),
        "to an address that does not exist": came(
            sent(State.RETURNED), Sort.BOUNCE, failed=[bounce]
        ),
        "to an address that is somebody else's": sent(State.ACCEPTED, "orders@copperco.example"),
        "to nobody ticked": document(author=olive(), site=low).id,
        "answered": came(sent(State.ACCEPTED), Sort.REPLY),
        "where nobody may look": sent(State.ACCEPTED, mailbox_id=closed),
    }


def test_the_page_reaches_the_right_verdict_in_each(portal: tuple[str, Any], page: Page) -> None:
    url, app = portal
    with app.app_context():
        olive()
        documents = prepare()
        db.session.remove()
    assert documents.keys() == ANSWERS.keys()
    sign_in(page, url)
    for situation, (kind, says, button) in ANSWERS.items():
        page.goto(f"{url}/documents/{documents[situation]}/inquiry")
        answer = page.locator("[data-verdict]")
        told = answer.inner_text()
        assert (answer.get_attribute("data-verdict"), says in told) == (kind, True), (
            situation,
            told,
        )
        first = page.locator(".outcome .buttons a.btn").first
        assert not button or first.inner_text().strip().startswith(button), situation
        if situation in STEPS:
            step, words = STEPS[situation]
            expect(page.locator(f"[data-step={step}]")).to_contain_text(words)
    # What is missing is mended where the button leads, and the answer follows.
    page.goto(f"{url}/documents/{documents['to nobody ticked']}/inquiry")
    page.locator(".outcome").get_by_role("link", name="Open 3 Low Rd").click()
    page.get_by_role("checkbox", name="Billing").check()
    page.get_by_role("button", name="Save who receives what").click()
    expect(page.locator("main")).to_contain_text("is saved.")
    page.goto(f"{url}/documents/{documents['to nobody ticked']}/inquiry")
    expect(page.locator("[data-step=people]")).to_have_attribute("data-light", "good")


def sign_in(page: Page, url: str) -> None:
    page.set_default_timeout(10_000)
    page.goto(f"{url}/sign-in")
    page.get_by_label("E-mail address").fill("olive@brightspark.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{url}/")
