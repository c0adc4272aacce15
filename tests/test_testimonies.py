"""A test mail proves what the records of a domain only promise."""

import base64
from datetime import timedelta

import pytest
import requests
from flask import Flask
from sqlalchemy import select, update

from portal import delivery, domains, mailboxes, testimonies
from portal.columns import now
from portal.config import Config
from portal.dispatch import Dispatch, Purpose
from portal.extensions import db
from portal.mailboxes import Mailbox
from portal.providers.gmail import FULL_SCOPES, SEND_ONLY_SCOPES
from portal.providers.graph import FULL_SCOPES as GRAPH_SCOPES
from portal.published.results import Proof
from portal.sandbox.microsoft import MicrosoftServer
from portal.sandbox.server import SandboxServer
from portal.testimonies import CannotProve, Outcome
from tests import factories, servers
from tests.factories import OFFICE
from tests.test_house_pages import problems
from tests.visitor import said, visitor

OURS, OUTSIDE = "brightspark.example", "max@elsewhere.example"
PAGE = f"/domains/{OURS}"


@pytest.fixture
def config(database: str, redis_url: str, local_google: SandboxServer) -> Config:
    google = servers.pointed_at(local_google.url)
    return servers.config_of(DATABASE_URL=database, REDIS_URL=redis_url, **google)


@pytest.fixture
def office(app: Flask, local_google: SandboxServer) -> Flask:
    """Olive's portal, with the office's mailbox and no other."""
    with app.app_context():
        factories.olive()
        factories.tom()
        factories.connected(local_google.url)
    return app


@pytest.fixture
def outside(office: Flask, local_google: SandboxServer) -> Flask:
    """The same with a free Gmail address that the office keeps for trying out."""
    with office.app_context():
        factories.connected(local_google.url, OUTSIDE)
    return office


def steer(google: SandboxServer, noun: str, **told: object) -> None:
    assert requests.post(f"{google.url}/_sandbox/{noun}", json=told, timeout=5).ok


def begun() -> testimonies.Testimony:
    olive = factories.olive()
    (found,) = testimonies.prospects(OURS, olive)
    return testimonies.begin(OURS, found.way.key, olive)


def looked(one: testimonies.Testimony) -> testimonies.Testimony:
    """The same after the portal has looked once more, unless a drain has found it already."""
    db.session.execute(update(testimonies.Testimony).values(look_after=None))
    db.session.commit()
    testimonies.look_again()
    return db.session.get_one(testimonies.Testimony, one.id, populate_existing=True)


def proof_words() -> str:
    row = domains.stored(OURS)
    assert row is not None
    (kept,) = row.proofs.values()
    return f"{Proof.from_json(kept).words}, by {kept['host']}"


def mails() -> list[Dispatch]:
    return list(db.session.scalars(select(Dispatch).order_by(Dispatch.id)))


def test_a_test_mail_is_sent_once_found_and_believed(outside: Flask) -> None:
    with outside.app_context():
        one, again = begun(), begun()
        (mail,) = mails()
        assert (one.id, mail.purpose) == (again.id, Purpose.TEST)
        assert (mail.from_email, mail.to) == (OFFICE, [OUTSIDE])
        assert looked(one).is_open  # it has not left yet
        delivery.drain()
        assert looked(one).outcome == Outcome.HEARD
        said_so = "SPF pass (aligned), DKIM pass (aligned), DMARC pass, by mx.google.com"
        assert proof_words() == said_so
        assert testimonies.look_again() == 0


def test_what_failed_is_said_and_the_next_test_is_a_new_one(
    outside: Flask, local_google: SandboxServer
) -> None:
    steer(local_google, "settings", authentication="spf=softfail dkim=none dmarc=fail")
    with outside.app_context():
        first = begun().id
        delivery.drain()
        looked(testimonies.latest(OURS)["gmail/brightspark.example"])
    page = said(visitor(outside, factories.olive).get(PAGE))
    assert "Did not pass" in page and "SPF softfail, DKIM none, DMARC fail" in page
    assert "SPF did not allow Gmail to send" in page and "Nothing signed it (DKIM)" in page
    steer(local_google, "settings", authentication="")
    with outside.app_context():
        second = begun()
        assert second.id != first
        delivery.drain()
        looked(second)
        assert "DMARC pass" in proof_words()


def test_mail_that_bears_a_guess_of_our_header_proves_nothing(
    outside: Flask, local_google: SandboxServer
) -> None:
    forged = (
        b"Authentication-Results: mx.google.com; dmarc=fail\r\nX-Sendwright-Dispatch: guessed\r\n"
        b"From: office@brightspark.example\r\nTo: max@elsewhere.example\r\n\r\nHello\r\n"
    )
    with outside.app_context():
        one = begun()
        raw = base64.urlsafe_b64encode(forged).decode()
        steer(local_google, "deliver", account=OUTSIDE, raw=raw)
        delivery.drain()
        looked(one)
        assert "DMARC pass" in proof_words()


@pytest.mark.sqlite_only
def test_without_a_mailbox_that_may_be_read_it_says_which_permission_is_wanting(
    office: Flask, local_google: SandboxServer
) -> None:
    with office.app_context():
        with pytest.raises(CannotProve, match="No other connected mailbox can receive the test"):
            begun()
        factories.connected(local_google.url, OUTSIDE, scopes=SEND_ONLY_SCOPES)
        nia = factories.nia()  # whose mailbox is hers to read
        factories.connected(local_google.url, nia.email, owner=nia, scopes=FULL_SCOPES)
        with pytest.raises(CannotProve, match="tick “View your email message metadata"):
            begun()
        assert mails() == []


@pytest.mark.sqlite_only
def test_within_one_company_of_microsoft_nothing_is_checked(
    office: Flask, local_microsoft: MicrosoftServer
) -> None:
    with office.app_context():
        scopes, issuer = " ".join(GRAPH_SCOPES), mailboxes.issuers()["microsoft"]
        boxes = [
            Mailbox(provider="microsoft", account_sub=sub, email=f"{sub}.example", id=number)
            for number, sub in enumerate(("1@a", "2@a", "3@b"))
        ]
        for box in boxes:
            box.scopes, box.issuer, box.health = scopes, issuer, mailboxes.Health.CONNECTED
        hears = [testimonies._hears(one, boxes[0]) for one in boxes]
        assert hears == [False, False, True]


@pytest.mark.sqlite_only
@pytest.mark.parametrize(
    ("how", "words"),
    [
        (Outcome.MISSING, "did not arrive in the inbox of max@elsewhere.example"),
        (Outcome.UNREADABLE, "could not be read any more"),
        (Outcome.UNSENT, "did not leave, so nothing was proved"),
        (Outcome.SILENT, "wrote down nothing of what it checked"),
    ],
)
def test_what_tells_nothing_ends_and_says_what_to_do(
    outside: Flask, monkeypatch: pytest.MonkeyPatch, how: Outcome, words: str
) -> None:
    with outside.app_context():
        one = begun()
        if how is Outcome.SILENT:
            silent = "portal.sandbox.authentication.gmails"
            monkeypatch.setattr(silent, lambda *_: "mx.else.example; none")
        if how is Outcome.UNSENT:
            assert factories.cancelled(mails()[0], factories.olive())
        else:
            delivery.drain()
        if how is Outcome.MISSING:
            long_ago = now() - timedelta(hours=1)
            db.session.execute(update(Dispatch).values(accepted_at=long_ago))
        if how is Outcome.UNREADABLE:
            mine = update(Mailbox).where(Mailbox.email == OUTSIDE)
            db.session.execute(mine.values(health=mailboxes.Health.NEEDS_SIGN_IN))
        db.session.commit()
        assert looked(one).outcome == how
        assert domains.stored(OURS) is None
    assert words in said(visitor(outside, factories.olive).get(PAGE))


def test_olive_proves_it_on_the_page_and_tom_only_looks(outside: Flask) -> None:
    olive, tom = visitor(outside, factories.olive), visitor(outside, factories.tom)
    page = olive.get(PAGE)
    assert problems(page) == [] and "Prove it with a test mail" in said(page)
    assert "A manager can have it proved" in said(tom.get(PAGE))
    form = {"way": "gmail/brightspark.example"}
    assert tom.post(f"{PAGE}/proofs", form).status_code == 403
    assert olive.post(f"{PAGE}/proofs", form).location == f"{PAGE}#proof"
    page = olive.get(PAGE)
    assert problems(page) == [] and "on its way to max@elsewhere.example" in said(page)
    olive.post(f"{PAGE}/proofs", {"way": "smtp/no"})
    assert "Nothing is sent from this domain that way" in said(olive.get(PAGE))
    with outside.app_context():
        delivery.drain()
        looked(testimonies.latest(OURS)["gmail/brightspark.example"])
        assert len(mails()) == 1
    page = olive.get(PAGE, htmx=True)
    assert "DMARC pass. Found by mx.google.com." in said(page) and "hx-trigger" not in page.text
