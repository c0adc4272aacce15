"""Olive sees whether customers believe that the mail is hers, and copies the record to add."""

import pytest
from bs4 import BeautifulSoup
from flask import Flask

from portal import domains
from portal.domains import Domain
from portal.extensions import db
from portal.published import results
from portal.published.answers import Answer, Kind, Question
from portal.published.ways import way_of
from tests import servers
from tests.factories import office_mailbox, olive, tom
from tests.test_published import GOOD, Zone, said
from tests.visitor import Visitor, visitor

OURS = "brightspark.example"
PAGE = f"/domains/{OURS}"


@pytest.fixture
def zone() -> Zone:
    """What the DNS says; a test changes it."""
    return dict(GOOD)


@pytest.fixture
def app(database: str, redis_url: str, zone: Zone) -> Flask:
    stores = {"DATABASE_URL": database, "REDIS_URL": redis_url}
    made = servers.make_app(servers.config_of(**stores, DNS_RESOLVER="127.0.0.1:9"))

    def ask(question: Question, _seconds: float) -> Answer:
        return said(zone, question)

    made.extensions["resolver"] = ask
    with made.app_context():
        office_mailbox()
        db.session.remove()
    return made


@pytest.fixture
def manager(app: Flask) -> Visitor:
    return visitor(app, olive)


def look(who: Visitor) -> str:
    """Have it looked up, and read the page that this leads to."""
    answer = who.post(f"{PAGE}/checks")
    assert (answer.status_code, answer.location) == (303, PAGE)
    return who.words(PAGE)


def lights(who: Visitor) -> list[tuple[str, str]]:
    soup = BeautifulSoup(who.get(PAGE).text, "html.parser")
    return [
        (one.select_one(".name").text, one["class"][0])  # type: ignore[union-attr]
        for one in soup.select(".lights > li")
    ]


def again(app: Flask) -> None:
    with app.app_context():
        db.session.query(Domain).update({"asked_at": None})
        db.session.commit()


def test_the_list_names_each_domain_with_a_verdict_and_the_page_looks_it_up(
    manager: Visitor,
) -> None:
    assert "brightspark.example office@brightspark.example" in manager.words("/domains")
    assert "Not looked up yet" in manager.words("/domains")
    assert "by itself within a minute or two" in manager.words(PAGE)
    page = look(manager)
    assert "Looked up just now." in page and "Mail through Gmail should pass" in page
    assert lights(manager) == [("SPF", "good"), ("DKIM", "good"), ("DMARC", "good")]
    assert "Look-ups: 2 of 10" in page and "RSA, 2048 bits" in page
    assert "put it into the spam folder (p=quarantine)" in page
    assert "Published is not yet proved" in page and "What to do" not in page
    assert "In order" in manager.words("/domains")


def test_the_exact_record_is_there_to_copy_part_by_part(manager: Visitor, zone: Zone) -> None:
    zone[f"{OURS} TXT"] = ["v=spf1 mx ~all"]
    zone[f"google._domainkey.{OURS} TXT"] = Kind.NO_NAME
    page = look(manager)
    assert "Mail through Gmail does not pass" in page
    assert "Your policy asks receivers to put such mail into the spam folder." in page
    soup = BeautifulSoup(manager.get(PAGE).text, "html.parser")
    copied = [one["data-copy"] for one in soup.select("[data-copy]")]
    assert copied == [
        OURS,
        "v=spf1 mx include:_spf.google.com ~all",
        f"google._domainkey.{OURS}",
    ]
    assert "Was v=spf1 mx ~all" in page
    assert lights(manager) == [("SPF", "bad"), ("DKIM", "bad"), ("DMARC", "bad")]


def test_staff_may_see_it_all_and_change_nothing(app: Flask, manager: Visitor) -> None:
    look(manager)
    worker = visitor(app, tom)
    page = worker.get(PAGE).text
    assert "Mail through Gmail should pass" in page
    assert "Check again" not in page and "selectors" not in page
    assert worker.post(f"{PAGE}/checks").status_code == 403
    assert worker.post(f"{PAGE}/selectors").status_code == 403


def test_no_answer_is_said_to_be_none_and_no_record_is_asked_for(
    manager: Visitor, zone: Zone
) -> None:
    for name in (f"{OURS} TXT", f"_dmarc.{OURS} TXT", f"google._domainkey.{OURS} TXT"):
        zone[name] = Kind.SILENT
    page = look(manager)
    assert "Nobody answered in time." in page
    assert "That says nothing about your records" in page
    assert "data-copy" not in manager.get(PAGE).text
    assert "Not known" in manager.words("/domains")


def test_a_second_press_a_moment_later_says_so(manager: Visitor) -> None:
    look(manager)
    assert "It was looked up a moment ago." in look(manager)


def test_a_selector_is_kept_and_looked_up_at_once_and_a_wrong_one_is_told(
    app: Flask, manager: Visitor, zone: Zone
) -> None:
    look(manager)
    zone[f"s1._domainkey.{OURS} TXT"] = zone.pop(f"google._domainkey.{OURS} TXT")
    answer = manager.post(f"{PAGE}/selectors", {"selectors": "not one!"})
    assert answer.status_code == 422
    assert "is no DKIM selector" in answer.text and 'value="not one!"' in answer.text
    assert manager.post(f"{PAGE}/selectors", {"selectors": "s1"}).status_code == 303
    page = manager.words(PAGE)
    assert f"s1._domainkey.{OURS}" in page and "Key at “s1”" in page
    assert lights(manager)[1] == ("DKIM", "good")


def test_a_domain_that_stopped_passing_is_said_on_every_page(
    app: Flask, manager: Visitor, zone: Zone
) -> None:
    look(manager)
    zone[f"{OURS} TXT"] = ["v=spf1 -all"]
    zone[f"google._domainkey.{OURS} TXT"] = Kind.NO_NAME
    again(app)
    assert "It no longer passes" in look(manager)
    banner = "Mail from brightspark.example no longer passes the check for forged senders."
    assert banner in manager.words("/contacts")
    assert banner not in visitor(app, tom).words("/contacts")


def test_what_was_proved_is_told_apart_from_what_is_published(app: Flask, manager: Visitor) -> None:
    look(manager)
    assert "Published is not yet proved" in manager.words(PAGE)
    said = "mx.google.com; spf=pass smtp.mailfrom=x@brightspark.example; dkim=fail; dmarc=pass"
    with app.app_context():
        row = domains.stored(OURS)
        assert row
        proof = results.prove(results.parse(said), domains.counting_for(row))
        domains.remember_proof(row, way_of("gmail", OURS).key, "mx.google.com", proof)
        db.session.commit()
    page = manager.words(PAGE)
    assert "SPF pass (aligned), DKIM fail, DMARC pass. Found by mx.google.com" in page
    assert "Its DKIM signature did not hold" in page
    assert "No other connected mailbox can receive the test." in page


def test_a_domain_that_no_mail_comes_from_has_no_page(manager: Visitor) -> None:
    for name in ("homes.example", "nothing", "%20"):
        assert manager.get(f"/domains/{name}").status_code == 404
        assert manager.post(f"/domains/{name}/checks").status_code == 404


@pytest.mark.sqlite_only
def test_where_nobody_is_asked_the_page_says_why(app: Flask, manager: Visitor) -> None:
    app.config["PORTAL"] = servers.config_of(DNS_RESOLVER="off")
    assert "It is not looked up" in manager.words(PAGE)
    assert "switched off here (the setting DNS_RESOLVER)" in look(manager)
