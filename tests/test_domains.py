"""Sender domains are looked up every night, and the office hears when one stops passing."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import current_app
from sqlalchemy import update

from portal import domains
from portal.accounts import Role
from portal.columns import now
from portal.domains import BadSelector, Domain, TooSoon
from portal.extensions import db
from portal.mailboxes import Address, Mailbox
from portal.published.answers import Answer, Kind, Question
from tests import factories, servers
from tests.factories import OFFICE
from tests.test_published import GOOD, Zone, said

OURS = "brightspark.example"
SYDNEY = ZoneInfo("Australia/Sydney")
Change = Callable[[Zone], None]


@pytest.fixture
def office(database: str, redis_url: str) -> Iterator[Mailbox]:
    """The company's mailbox, in a portal whose DNS says what the tests say."""
    stores = {"DATABASE_URL": database, "REDIS_URL": redis_url}
    with servers.inside(servers.config_of(**stores, DNS_RESOLVER="127.0.0.1:9")):
        factories.olive()
        yield factories.office_mailbox()


@pytest.fixture
def publish(office: Mailbox) -> Change:
    """Makes the DNS say something else. Nothing is open in the store while it is asked."""
    zone: Zone = dict(GOOD)

    def ask(question: Question, _seconds: float) -> Answer:
        return said(zone, question)

    current_app.extensions["resolver"] = ask
    return zone.update


def asked_long_ago(hours: float = 40) -> None:
    since = now() - timedelta(hours=hours)
    db.session.execute(update(Domain).values(asked_at=since, checked_at=since))
    db.session.commit()
    current_app.extensions.pop("domains", None)


def ours() -> Domain:
    found = domains.stored(OURS)
    assert found
    db.session.refresh(found)
    return found


# -- which domains ---------------------------------------------------------------------------------


def test_the_domains_are_those_of_every_address_and_of_everybody_who_signs_in(
    office: Mailbox,
) -> None:
    factories.person("nia", "Nia Cole").email = "nia@sparks.example"
    own = Mailbox(account_sub="jo", email="jo@gmail.com", issuer=office.issuer)
    own.addresses = [
        Address(email="jo@gmail.com", verification="accepted", is_primary=True),
        Address(email="jo@old.example", verification="lost"),
        Address(email="jo@b\u00fccher.example", verification="accepted"),
        Address(email="nonsense", verification="accepted"),
    ]
    gone = Mailbox(account_sub="x", email="x@gone.example", health="disconnected")
    gone.addresses = [Address(email="x@gone.example", verification="accepted")]
    db.session.add_all([own, gone])
    db.session.commit()
    found = domains.in_use()
    assert set(found) == {OURS, "sparks.example", "gmail.com", "xn--bcher-kva.example"}
    assert found[OURS].addresses == (OFFICE, "olive@brightspark.example", "tom@brightspark.example")
    assert [way.envelope for way in found["sparks.example"].ways] == [OURS]  # once it is added
    assert [way.envelope for way in found["gmail.com"].ways] == ["gmail.com"]


def test_two_mailboxes_at_one_provider_are_told_apart(office: Mailbox) -> None:
    other = Mailbox(account_sub="jo", email="jo@gmail.com", issuer=office.issuer)
    other.addresses = [Address(email=OFFICE, verification="accepted")]
    db.session.add(other)
    db.session.commit()
    titles = [way.title for way in domains.in_use()[OURS].ways]
    assert titles == ["Gmail of brightspark.example", "Gmail of gmail.com"]


def test_plain_smtp_and_the_relay_are_judged_by_their_servers(
    office: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.provider, office.server = "smtp", {"host": "mail.brightspark.example"}
    relay = Mailbox(account_sub="relay", provider="smtp", email="jobs@brightspark.example")
    relay.addresses = [Address(email="jobs@brightspark.example", verification="untried")]
    db.session.add(relay)
    db.session.commit()
    url = {"RELAY_URL": "smtps://me:secret@out.isp.example", "RELAY_FROM": relay.email}
    monkeypatch.setitem(current_app.config, "PORTAL", servers.config_of(**url))
    own, through_relay = domains.in_use()[OURS].ways
    assert own.hosts == ("mail.brightspark.example",)
    assert (through_relay.title, through_relay.hosts) == (
        "the portal’s relay",
        ("out.isp.example",),
    )


def test_where_a_server_of_ones_own_network_stands_is_on_no_page(office: Mailbox) -> None:
    office.provider, office.server = "smtp", {"host": "10.0.0.5"}
    db.session.commit()
    (way,) = domains.in_use()[OURS].ways
    assert (way.title, way.hosts) == ("your mail server", ("10.0.0.5",))


# -- looking up ------------------------------------------------------------------------------------


def test_what_was_found_is_stored_and_judged_again_without_asking(
    office: Mailbox, publish: Change
) -> None:
    publish({f"{OURS} TXT": ["v=spf1 mx ~all"]})
    assert domains.check(OURS).tone == "warn"
    row = ours()
    assert (row.tone, row.unanswered) == ("warn", False)
    assert [one["code"] for one in row.findings] == ["spf_lacks"]
    assert row.findings[0]["record"]["value"] == "v=spf1 mx include:_spf.google.com ~all"
    again = domains.report(row, domains.in_use()[OURS])
    assert not again.wanted and [one.code for one in again.findings] == ["spf_lacks"]


def test_nothing_is_open_in_the_store_while_the_dns_is_asked(
    office: Mailbox, publish: Change
) -> None:
    inner, open_then = current_app.extensions["resolver"], []

    def watched(question: Question, seconds: float) -> Answer:
        open_then.append(session.in_transaction())
        answer: Answer = inner(question, seconds)
        return answer

    session = db.session()
    current_app.extensions["resolver"] = watched
    domains.check(OURS)
    assert open_then and not any(open_then)


def test_a_second_tap_a_moment_later_asks_nobody(office: Mailbox, publish: Change) -> None:
    domains.check(OURS)
    with pytest.raises(TooSoon):
        domains.check(OURS)


@pytest.mark.sqlite_only
@pytest.mark.parametrize(
    ("setting", "name", "words"),
    [
        ("off", OURS, "switched off"),
        ("", OURS, "a name for trying out"),
        ("", "example.com", "a name for trying out"),
        ("192.0.2.1", "gmail.com", "looks after its records"),
        ("192.0.2.1", OURS, ""),
        ("", "brightspark.com.au", ""),
    ],
)
def test_some_domains_are_not_asked_for(
    database: str, redis_url: str, setting: str, name: str, words: str
) -> None:
    stores = {"DATABASE_URL": database, "REDIS_URL": redis_url}
    with servers.inside(servers.config_of(**stores, DNS_RESOLVER=setting)):
        assert words in domains.why_not_asked(name)
        assert bool(words) == bool(domains.why_not_asked(name))


# -- every night -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked_hours_ago", "hour", "answered", "due"),
    [
        (21, 3, True, True),
        (21, 12, True, False),
        (19, 3, True, False),
        (31, 12, True, True),
        (2, 12, False, True),
        (0.5, 12, False, False),
    ],
)
def test_a_domain_is_due_once_a_night_and_within_the_hour_if_nobody_answered(
    asked_hours_ago: float, hour: int, answered: bool, due: bool
) -> None:
    at = datetime(2026, 11, 24, hour, tzinfo=SYDNEY).astimezone(UTC)
    since = at - timedelta(hours=asked_hours_ago)
    kind = Kind.FOUND if answered else Kind.SILENT
    answer: dict[str, object] = {"kind": kind, "values": [], "through": []}
    row = Domain(name=OURS, asked_at=since, checked_at=since, records={"TXT x.example": answer})
    assert domains.is_due(row, at, SYDNEY) is due


def test_the_sweep_asks_for_a_few_at_a_time_and_for_none_twice(
    office: Mailbox, publish: Change
) -> None:
    for number in range(4):
        email = f"jo@sparks{number}.example"
        db.session.add(Address(mailbox_id=office.id, email=email, verification="accepted"))
    db.session.commit()
    asked = []
    for _sweep in range(4):
        asked.append(domains.look_again())
        current_app.extensions.pop("domains")  # a minute later
    assert asked == [3, 2, 0, 0]
    domains.look_again()
    assert domains.look_again() == 0  # within the minute nobody even looks
    assert len(domains.known()) == 5


def test_what_a_new_provider_needs_is_asked_for_within_the_minute(
    office: Mailbox, publish: Change
) -> None:
    publish({})
    assert domains.look_again() == 1
    other = Mailbox(account_sub="9", email=OFFICE, provider="microsoft", health="connected")
    other.addresses = [Address(email=OFFICE, verification="accepted")]
    db.session.add(other)
    db.session.execute(update(Domain).values(asked_at=now() - timedelta(seconds=61)))
    db.session.commit()
    asked = []
    for _sweep in range(2):
        current_app.extensions.pop("domains")  # a minute later
        asked.append(domains.look_again())
    assert asked == [1, 0]


def test_what_goes_wrong_with_one_domain_keeps_no_other_waiting(
    office: Mailbox, publish: Change, caplog: pytest.LogCaptureFixture
) -> None:
    db.session.add(Address(mailbox_id=office.id, email="a@a.example", verification="accepted"))
    db.session.commit()
    inner = current_app.extensions["resolver"]

    def breaks(question: Question, seconds: float) -> Answer:
        if question[0].endswith("a.example"):
            raise RuntimeError("no such luck")
        answer: Answer = inner(question, seconds)
        return answer

    current_app.extensions["resolver"] = breaks
    assert domains.look_again() == 1
    assert ours().tone == "good"
    assert "could not be looked up" in caplog.text


# -- the alarm -------------------------------------------------------------------------------------


@pytest.fixture
def broken(office: Mailbox, publish: Change) -> Change:
    """It passed yesterday; last night somebody deleted the records."""
    factories.person("jo", "Jo Reid", Role.MANAGER)
    domains.look_again()
    assert ours().passed_at is not None and ours().failing_since is None
    publish({f"{OURS} TXT": ["v=spf1 -all"], f"google._domainkey.{OURS} TXT": Kind.NO_NAME})
    asked_long_ago()
    domains.look_again()
    return publish


def test_each_manager_is_told_once_when_a_domain_stops_passing(
    office: Mailbox, broken: Change
) -> None:
    for _sweep in range(2):
        domains.tell_managers()
    told = factories.notices()
    assert sorted(one.to[0] for one in told) == [
        "jo@brightspark.example",
        "olive@brightspark.example",
    ]
    assert told[0].from_email == OFFICE
    assert "does not allow Gmail to send for brightspark.example" in told[0].body
    assert "/domains/brightspark.example" in told[0].body


def test_once_it_passes_again_the_next_time_is_a_new_alarm(office: Mailbox, broken: Change) -> None:
    broken({f"{OURS} TXT": GOOD[f"{OURS} TXT"]})
    asked_long_ago()
    domains.look_again()
    assert ours().failing_since is None and domains.failing() == []
    broken({f"{OURS} TXT": ["v=spf1 -all"]})
    asked_long_ago()
    domains.look_again()
    assert len(domains.failing()) == 1 and len(factories.notices()) == 4


def test_a_name_server_that_is_down_is_no_alarm(office: Mailbox, publish: Change) -> None:
    domains.look_again()
    publish({f"{OURS} TXT": Kind.FAILED, f"google._domainkey.{OURS} TXT": Kind.SILENT})
    asked_long_ago()
    domains.look_again()
    assert ours().tone == "open" and domains.failing() == [] and factories.notices() == []


def test_a_domain_that_never_passed_is_no_alarm(office: Mailbox, publish: Change) -> None:
    publish({f"{OURS} TXT": ["v=spf1 -all"], f"google._domainkey.{OURS} TXT": Kind.NO_NAME})
    domains.look_again()
    assert ours().tone == "bad" and domains.failing() == [] and factories.notices() == []


def test_a_domain_that_nothing_is_sent_from_any_more_raises_no_alarm(
    office: Mailbox, broken: Change
) -> None:
    for person in (factories.olive(), factories.person("jo", "Jo Reid")):
        person.email = person.email.replace(OURS, "sparks.example")
    office.health = "disconnected"
    db.session.commit()
    asked_long_ago()
    domains.look_again()
    assert domains.failing() == []


# -- what people and test mails add ----------------------------------------------------------------


def test_a_selector_is_taken_however_it_is_written(office: Mailbox, publish: Change) -> None:
    domains.check(OURS)
    domains.set_selectors(OURS, f" S1, s2._domainkey.{OURS};s1 ")
    assert ours().chosen == ["s1", "s2"]
    assert domains.stored(OURS) and not domains.check(OURS).wanted
    assert f"TXT s1._domainkey.{OURS}" in ours().records
    for wrong, words in (("s1 \u00fc!", "is no DKIM selector"), ("a b c d e f g", "at most 6")):
        with pytest.raises(BadSelector, match=words):
            domains.set_selectors(OURS, wrong)
    assert ours().chosen == ["s1", "s2"]
