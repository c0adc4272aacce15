"""Microsoft's limits: those that are told at once, and those that only show later."""

import threading
import time

import pytest

from portal.sandbox.microsoft.settings import MAX_REQUEST_BYTES
from tests.sandbox.microsoft.client import MARY, Graph, Microsoft, refused
from tests.sandbox.visitor import letter


def test_a_request_of_more_than_four_megabytes_is_refused(graph: Graph) -> None:
    just = b"x" * (MAX_REQUEST_BYTES // 4 * 3 - 200)
    assert graph.mime("/messages", letter() + just).status_code == 201
    answer = graph.mime("/messages", letter() + just + b"y" * 1_000)
    assert refused(answer, 413, "BadRequest") == "Maximum request length exceeded."


def test_too_many_requests_in_ten_minutes_are_told_how_long_to_wait(
    graph: Graph, microsoft: Microsoft
) -> None:
    microsoft.tell("settings", requests_per_ten_minutes=3)
    codes = [graph.call("GET", "").status_code for _ in range(4)]
    assert codes == [200, 200, 200, 429]
    answer = graph.call("GET", "")
    refused(answer, 429, "ApplicationThrottled")
    assert 590 <= int(answer.headers["Retry-After"]) <= 601
    assert microsoft.graph(MARY).call("GET", "").status_code == 200, "each mailbox its own"
    microsoft.tell("clock", advance=601)
    assert graph.call("GET", "").status_code == 200
    assert microsoft.ask("state")["refused"] == {"me": 2}


def test_four_calls_at_once_and_no_fifth(graph: Graph, microsoft: Microsoft) -> None:
    microsoft.tell("faults", method="messages.list", kind="delay", delay=0.5, times=4)
    slow = [
        threading.Thread(target=Graph(graph.origin, graph.token).call, args=("GET", "/messages"))
        for _ in range(4)
    ]
    for one in slow:
        one.start()
    deadline = time.monotonic() + 5
    while microsoft.ask("state")["calls"].get("messages.list", 0) < 4:
        assert time.monotonic() < deadline
    answer = graph.call("GET", "")
    words = refused(answer, 429, "ApplicationThrottled")
    assert words == "Application is over its MailboxConcurrency limit."
    assert answer.headers["Retry-After"] == "1"
    for one in slow:
        one.join()
    assert graph.call("GET", "").status_code == 200


def test_the_thirty_first_mail_of_a_minute_is_taken_and_leaves_later(
    graph: Graph, microsoft: Microsoft
) -> None:
    microsoft.tell("settings", messages_per_minute=2)
    drafts = [graph.draft(letter())["id"] for _ in range(3)]
    answers = [graph.send(draft) for draft in drafts]
    assert [one.status_code for one in answers] == [202] * 3
    assert [one.headers.get("Retry-After") for one in answers[:2]] == [None, None]
    assert 50 <= int(answers[2].headers["Retry-After"]) <= 61, "a trap: it was taken all the same"
    assert graph.get(f"/messages/{drafts[2]}")["isDraft"]
    assert [bool(one["left_at"]) for one in microsoft.accepted()] == [True, True, False]
    microsoft.tell("clock", advance=61)
    assert not graph.get(f"/messages/{drafts[2]}")["isDraft"]
    assert len(microsoft.accepted()) == 3


@pytest.mark.parametrize(
    ("settings", "people", "status"), [({"recipients_per_day": 2}, 3, "5.1.90"), ({}, 501, "5.5.3")]
)
def test_too_many_recipients_are_accepted_and_come_back(
    graph: Graph, microsoft: Microsoft, settings: dict[str, int], people: int, status: str
) -> None:
    microsoft.tell("settings", **settings)
    to = ", ".join(f"p{number}@far.example" for number in range(people))
    graph.sent(letter(to=to))
    (report,) = graph.get("/mailFolders/inbox/messages")["value"]
    whole = graph.call("GET", f"/messages/{report['id']}/$value").text
    assert f"Status: {status}" in whole


def test_a_personal_account_reaches_its_day(microsoft: Microsoft) -> None:
    microsoft.tell("settings", consumer_daily=1)
    mary = microsoft.graph(MARY)
    mary.sent(letter(sender=MARY))
    draft = mary.draft(letter(sender=MARY))["id"]
    refused(mary.send(draft), 403, "ErrorExceededMessageLimit")
    microsoft.tell("clock", advance=86_401)
    assert microsoft.graph(MARY).send(draft).status_code == 202


def test_a_mail_larger_than_the_mailbox_takes_is_refused_as_it_is_sent(
    graph: Graph, microsoft: Microsoft
) -> None:
    microsoft.tell("settings", message_bytes=1_000)
    draft = graph.draft(letter(body="x" * 1_000))["id"]
    refused(graph.send(draft), 413, "ErrorMessageSizeExceeded")
    assert microsoft.accepted() == []
