"""An address that no list vouches for is tried once, and used only after that proved it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from flask import Flask

from portal import delivery, dispatch, mailboxes, policy, tryouts
from portal.dispatch import State
from portal.extensions import db
from portal.mailboxes import Address, Mailbox
from portal.senders import Mode
from tests import factories, servers
from tests.factories import ACCOUNTS, OFFICE
from tests.office365 import Microsoft, connected

if TYPE_CHECKING:
    from portal.sandbox.microsoft import MicrosoftServer

QUOTES = "quotes@brightspark.example"


@pytest.fixture
def microsoft(local_microsoft: "MicrosoftServer") -> Microsoft:
    found = Microsoft(local_microsoft.url)
    found.steer(send_delay=0.0)
    return found


@pytest.fixture
def app(database: str, redis_url: str, microsoft: Microsoft) -> Iterator[Flask]:
    with servers.sending(database, redis_url, "http://127.0.0.1:9", **microsoft.settings) as app:
        factories.bright_spark()
        yield app


@pytest.fixture
def office(app: Flask, microsoft: Microsoft) -> Mailbox:
    return connected(microsoft)


def tried(box: Mailbox, email: str) -> Address:
    """An address after its trial."""
    address = mailboxes.want_address(box, email)
    assert address.verification == "untried"
    tryouts.begin(address, factories.olive())
    delivery.drain()
    return db.session.get_one(Address, address.id, populate_existing=True)


def test_an_address_is_used_once_its_trial_has_left_from_it(
    office: Mailbox, microsoft: Microsoft
) -> None:
    policy.set_rule(policy.EVERY_KIND, Mode.SPECIFIED, ACCOUNTS)
    waiting = factories.asked()
    mailboxes.want_address(office, ACCOUNTS)
    delivery.drain()
    assert (dispatch.load(waiting.id).state, microsoft.accepted()) == (State.HELD, [])
    assert tried(office, ACCOUNTS).verification == "accepted"
    delivery.drain()
    assert dispatch.load(waiting.id).state == State.ACCEPTED
    trial, invoice = microsoft.accepted()
    assert (trial["to"], invoice["from"]) == (OFFICE, f"Bright Spark Accounts <{ACCOUNTS}>")


def test_an_alias_that_microsoft_replaces_is_found_out_by_its_trial(
    office: Mailbox, microsoft: Microsoft
) -> None:
    assert tried(office, QUOTES).verification == "mistrusted"
    microsoft.tell("tenants", domain="brightspark.example", send_from_alias=True)
    assert tried_again(office, QUOTES).verification == "accepted"


def test_an_address_of_somebody_else_is_not_allowed(office: Mailbox, microsoft: Microsoft) -> None:
    tom = "tom@brightspark.example"
    assert tried(office, tom).verification == "denied"
    microsoft.tell("rights", account=OFFICE, mailbox=tom, kind="send_as")
    assert tried_again(office, tom).verification == "accepted"


def test_two_presses_are_one_message(office: Mailbox, microsoft: Microsoft) -> None:
    address = mailboxes.want_address(office, ACCOUNTS)
    first = tryouts.begin(address, factories.olive())
    assert tryouts.begin(address, factories.olive()).id == first.id
    delivery.drain()
    assert len(microsoft.accepted()) == 1


def tried_again(box: Mailbox, email: str) -> Address:
    address = next(one for one in box.addresses if one.email == email)
    tryouts.begin(address, factories.olive())
    delivery.drain()
    return db.session.get_one(Address, address.id, populate_existing=True)


def test_nobodys_address_is_tried_before_they_agree_but_by_themselves(office: Mailbox) -> None:
    lou = factories.person("lou", "Lou Reed", agrees=False)
    address = mailboxes.want_address(office, lou.email)
    with pytest.raises(tryouts.CannotTry, match="Lou Reed has not agreed yet"):
        tryouts.begin(address, factories.olive())
    assert tryouts.latest(address) is None
    assert tryouts.begin(address, lou).from_email == lou.email
