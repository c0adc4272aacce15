"""An installation with a past is brought up to date, and nothing of it is lost."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import select, text

from portal import consent
from portal.accounts import User
from portal.dispatch import Dispatch
from portal.documents import Document, listing
from portal.documents.mail import templates
from portal.extensions import db
from portal.people import Contact, company, find_contacts
from portal.policy import rule
from portal.senders import Mode
from tests import servers

CONTACTS = (
    (1, "customer", "Mary Lee", "", "mary.lee@homes.example"),
    (2, "supplier", "Copper & Co", "Sam Reid", "Orders@CopperCo.example"),
    (3, "customer", "Jo Lee", "", "MARY.LEE@homes.example"),
    (4, "customer", "Harbour Strata Management", "Priya Nair", ""),
    (5, "customer", "3 Friends Cafe", "", "hello@friends.example"),
)


@pytest.fixture
def bare(store: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database without any table."""
    if store == "sqlite":
        yield f"sqlite:///{tmp_path / 'bare.sqlite3'}"
        return
    server: servers.Postgres = request.getfixturevalue("postgres")
    with server.database("sendwright_bare") as address:
        yield address


@pytest.fixture
def old(bare: str) -> Iterator[Flask]:
    """An installation of the first release, with contacts, documents, sendings, words and rules."""
    app = servers.make_app(servers.config_of(DATABASE_URL=bare))
    with app.app_context():
        upgrade(revision="0001")
        _fill()
        db.session.commit()
        upgrade()
        yield app
        db.session.remove()
        db.engine.dispose()


def put(table: str, **row: Any) -> None:
    names = ", ".join(f'"{name}"' for name in row)
    places = ", ".join(f":{name}" for name in row)
    db.session.execute(text(f"INSERT INTO {table} ({names}) VALUES ({places})"), row)


def _fill() -> None:
    details = ("legal_name", "tax_label", "tax_number", "address", "phone", "email", "website")
    texts = dict.fromkeys((*details, "bank", "footer"), "")
    put("company", id=1, name="Bright Spark", accent="#0b5c7a", currency="AUD", logo_type="",
        time_zone="Australia/Sydney", **texts)  # fmt: skip
    put("users", id=1, email="olive@brightspark.example", name="Olive", role="manager",
        password_hash="x", active=True, session_key="k")  # fmt: skip
    for number, role, name, attention, email in CONTACTS:
        put("contacts", id=number, role=role, name=name, attention=attention, email=email,
            phone="", address="")  # fmt: skip
    moment = "2026-11-22 09:00:00"
    put("mailboxes", id=1, provider="gmail", issuer="", account_sub="1", email="office@b.example",
        name="", hosted_domain="", is_company_default=True, scopes="", health="connected",
        health_note="", connected_at=moment, pause_note="")  # fmt: skip
    put("addresses", id=1, mailbox_id=1, email="Olive@brightspark.example", name="",
        verification="accepted", is_primary=False, since=moment)  # fmt: skip
    for number, name in ((2, "Nia"), (3, "Accounting Department")):
        put("users", id=number, email=f"{name[:3].lower()}@brightspark.example", name=name,
            role="staff", password_hash="x", active=True, session_key=name)  # fmt: skip
    put("sender_rules", id=1, kind="", mode="user", address="", name="")
    put("mail_wordings", id=1, kind="quote", subject="Our quote", body="Hello\n\nOlive")
    for number, contact_id in ((1, 1), (2, 1), (3, 4)):
        put("documents", id=number, kind="invoice", number=f"INV-{number}", title="", site="",
            contact_id=contact_id, reference="", issued="2026-11-23", currency="AUD", notes="",
            total=0, version=1, change="", created_at="2026-11-23 10:00:00",
            changed_at="2026-11-23 10:00:00")  # fmt: skip
    for sending, state in ((1, "refused"), (2, "accepted"), (3, "cancelled")):
        put("dispatches", id=sending, document_id=1, purpose="document", sending_number=sending,
            token=f"t{sending}", state=state, state_since="2026-11-23 10:00:00", state_note="",
            hold_code="", from_email="a@b.example", from_name="", reason="", to="[]", cc="[]",
            subject="", body="", mime=b"x", mime_sha256="", mime_size=1, pdf_sha256="",
            document_version=1, requested_by_id=1, requested_at="2026-11-22 09:00:00", attempt=1,
            settle_tries=0, needs_person=False, proof="unread", proof_tries=0, proof_from="",
            proof_message_id="")  # fmt: skip


def test_contacts_keep_their_names_and_every_address_gets_one_holder(old: Flask) -> None:
    found = {one.id: one for one in db.session.scalars(select(Contact))}
    assert [found[number].name for number, *_ in CONTACTS] == [name for _, _, name, *_ in CONTACTS]
    mary, copper, jo, harbour, cafe = (found[number] for number in range(1, 6))
    assert (mary.first_name, mary.last_name, mary.business) == ("Mary", "Lee", "")
    assert (copper.business, copper.attention, copper.type) == (
        "Copper & Co",
        "Sam Reid",
        "supplier",
    )
    assert (harbour.business, harbour.attention) == ("Harbour Strata Management", "Priya Nair")
    assert cafe.business == "3 Friends Cafe"
    assert (mary.email_key, copper.email_key) == (
        "mary.lee@homes.example",
        "orders@copperco.example",
    )
    assert (jo.email, jo.email_key) == ("", None)
    assert "MARY.LEE@homes.example" in jo.notes and "Mary Lee" in jo.notes
    assert all(one.active for one in found.values())


def test_what_was_sent_shows_its_newest_sending_and_the_rest_whether_it_can_be(old: Flask) -> None:
    found = {one.number: one.email_status for one in db.session.scalars(select(Document)).unique()}
    assert found == {"INV-1": "accepted", "INV-2": "pending", "INV-3": "n/a"}


def test_who_was_sent_from_already_counts_as_having_agreed_and_nobody_else(old: Flask) -> None:
    people = {one.name: one for one in db.session.scalars(select(User))}
    said = {name: consent.of(one) for name, one in people.items()}
    assert said["Accounting Department"] is None  # it is nobody's own address
    assert said["Olive"] and said["Nia"]
    assert said["Olive"].agreed and "before people were asked" in said["Olive"].words
    assert not said["Nia"].agreed


def test_the_companys_rule_and_the_offices_words_go_on_as_they_were(old: Flask) -> None:
    stored = rule("")
    assert stored is not None and stored.mode is Mode.USER
    words = templates("quote")
    assert (words.subject, words.letter) == ("Our quote", "Hello\n\nOlive")
    assert (company().mixed_batches, company().one_off) == ("each", "managers")


def test_what_waits_has_its_place_in_the_queue(old: Flask) -> None:
    for one in db.session.scalars(select(Dispatch)).unique():
        assert one.queued_at == one.requested_at
        assert one.lane == 0


def test_the_frozen_bytes_move_out_of_their_rows_and_back(old: Flask) -> None:
    assert {one.mime for one in db.session.scalars(select(Dispatch)).unique()} == {b"x"}
    db.session.commit()
    downgrade(revision="0003")
    kept = db.session.execute(text("SELECT mime FROM dispatches")).scalars()
    assert {bytes(one) for one in kept} == {b"x"}
    db.session.commit()
    upgrade()
    assert db.session.get_one(Dispatch, 1, populate_existing=True).mime == b"x"


def test_what_was_written_before_is_found_by_its_words(old: Flask) -> None:
    page = listing.page("invoice", listing.Filters(words="harbour"))
    assert [one.number for one in page.rows] == ["INV-3"]
    assert [one.name for one in find_contacts("cafe")] == ["3 Friends Cafe"]
