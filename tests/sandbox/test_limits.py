"""Limits: units a minute and mails a day, in Google's words, by a clock that can be wound."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import requests

from tests.sandbox.visitor import OFFICE, Gmail, Steering, encoded, letter


def test_a_minute_holds_fifty_four_mails_sent_by_draft(gmail: Gmail, steering: Steering) -> None:
    for _ in range(54):
        gmail.post("/drafts/send", id=gmail.draft(letter()))
    answer = gmail.call("POST", "/drafts/send", json={"id": gmail.draft(letter())})
    error = answer.json()["error"]
    assert (error["code"], error["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert error["errors"][0]["reason"] == "rateLimitExceeded"
    assert "'Queries per minute per user'" in error["message"]
    assert len(steering.accepted()) == 54
    steering.tell("clock", advance=60)
    gmail.send(letter())


def test_one_persons_calls_cost_nobody_else(gmail: Gmail, steering: Steering) -> None:
    steering.tell("settings", units_per_minute=100)
    gmail.send(letter())
    assert gmail.call("GET", "/profile").status_code == 429
    assert steering.gmail("max@elsewhere.example").call("GET", "/profile").status_code == 200


@pytest.mark.parametrize(
    ("email", "setting"),
    [(OFFICE, "workspace_daily"), ("max@elsewhere.example", "consumer_daily")],
)
def test_the_days_limit_says_when_to_come_again(
    steering: Steering, email: str, setting: str
) -> None:
    steering.tell("settings", **{setting: 2})
    mailbox = steering.gmail(email)
    mailbox.send(letter(sender=email))
    steering.tell("clock", advance=3_600)
    mailbox = steering.gmail(email)
    mailbox.send(letter(sender=email))
    draft = mailbox.draft(letter(sender=email))
    answer = mailbox.call("POST", "/drafts/send", json={"id": draft})
    error = answer.json()["error"]
    assert (answer.status_code, error["errors"][0]["reason"]) == (429, "rateLimitExceeded")
    found = re.fullmatch(
        r"User-rate limit exceeded\.  Retry after (\S+Z) \(Mail sending\)", error["message"]
    )
    assert found, error["message"]
    # An hour of the day has passed on the steered clock; callers wait by their own.
    left = datetime.fromisoformat(found[1]) - datetime.now(UTC)
    assert timedelta(hours=22, minutes=59) < left <= timedelta(hours=23)
    assert mailbox.has_draft(draft)
    steering.tell("clock", advance=left.total_seconds() + 1)
    steering.gmail(email).send(letter(sender=email))


def test_a_rush_is_refused_though_the_minute_has_room(gmail: Gmail, steering: Steering) -> None:
    steering.tell("settings", units_in_a_burst=250)
    for _ in range(2):
        gmail.send(letter())
    assert gmail.call("GET", "/profile").status_code == 200
    answer = gmail.call("POST", "/messages/send", json={"raw": encoded(letter())})
    assert answer.status_code == 429
    assert steering.ask("state")["refused"] == {"messages.send": 1}
    steering.tell("clock", advance=2)
    gmail.send(letter())


def test_so_many_calls_at_once_and_no_more(gmail: Gmail, steering: Steering) -> None:
    steering.tell("settings", calls_at_once=1)
    steering.tell("faults", method="getProfile", kind="delay", delay=1)
    with ThreadPoolExecutor(2) as people:
        answers = list(people.map(lambda _: gmail.call("GET", "/profile"), range(2)))
    assert sorted(one.status_code for one in answers) == [200, 429]
    refused = next(one for one in answers if one.status_code == 429)
    assert "Too many concurrent requests" in refused.json()["error"]["message"]
    assert gmail.call("GET", "/profile").status_code == 200


def test_no_limit_is_a_limit_of_nothing(gmail: Gmail, steering: Steering) -> None:
    steering.tell("settings", units_per_minute=0, workspace_daily=0)
    for _ in range(80):
        gmail.send(letter())
    assert len(steering.accepted()) == 80


def test_settings_that_make_no_sense_are_refused(steering: Steering) -> None:
    for told in ({"units_per_minute": "many"}, {"client_secret": "x"}, {"testing": 1}):
        answer = requests.post(f"{steering.origin}/_sandbox/settings", json=told, timeout=5)
        assert answer.status_code == 400, told
