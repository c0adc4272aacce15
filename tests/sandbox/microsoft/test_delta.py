"""What a local Microsoft tells of a folder since the last time, in Microsoft's own shapes."""

import base64
from typing import Any

import pytest
import requests

from tests.sandbox.microsoft import published
from tests.sandbox.microsoft.client import FULL, MARY, OFFICE, Graph, Microsoft, refused
from tests.sandbox.visitor import letter

INBOX = "/mailFolders/inbox/messages/delta"
ASKED = {"changeType": "created", "$select": "subject,sender"}


def arrive(microsoft: Microsoft, *subjects: str, **more: Any) -> list[str]:
    raws = [f"From: {MARY}\r\nSubject: {one}\r\n\r\nHello there\r\n" for one in subjects]
    mails = [{"raw": base64.urlsafe_b64encode(raw.encode()).decode(), **more} for raw in raws]
    found = microsoft.tell("deliver", account=OFFICE, mails=mails)
    ids: list[str] = found["ids"]
    return ids


def page(graph: Graph, link: str, most: int = 10, **params: str) -> dict[str, Any]:
    wish = f'IdType="ImmutableId", odata.maxpagesize={most}'
    url = link if link.startswith("http") else f"{graph.origin}/v1.0/me{link}"
    headers = {"Authorization": f"Bearer {graph.token}", "Prefer": wish}
    answer = requests.get(url, params=params, headers=headers, timeout=5)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_round_ends_in_a_link_that_brings_what_came_since(
    graph: Graph, microsoft: Microsoft
) -> None:
    arrive(microsoft, "One", "Two", "Three")
    first = page(graph, INBOX, most=2, **ASKED)
    assert not published.differences(first, published.DELTA_GOES_ON)
    last = page(graph, first["@odata.nextLink"], most=2)
    assert not published.differences(last, published.DELTA_DONE)
    assert [one["subject"] for one in first["value"] + last["value"]] == ["One", "Two", "Three"]
    (four,) = arrive(microsoft, "Four")
    again = page(graph, last["@odata.deltaLink"])
    assert [one["id"] for one in again["value"]] == [four]
    assert page(graph, again["@odata.deltaLink"])["value"] == []


def test_only_what_lies_there_is_told(graph: Graph, microsoft: Microsoft) -> None:
    begun = page(graph, INBOX, **ASKED)["@odata.deltaLink"]
    gone, kept = arrive(microsoft, "Gone", "Kept")
    moved = graph.draft(letter())["id"]  # among the drafts: another folder's affair
    assert requests.delete(f"{microsoft.origin}/_sandbox/messages/{gone}", timeout=5).ok
    assert [one["id"] for one in page(graph, begun)["value"]] == [kept]
    assert graph.call("DELETE", f"/messages/{moved}").status_code == 204
    bin_of = page(graph, "/mailFolders/deleteditems/messages/delta", **ASKED)["value"]
    assert [one["id"] for one in bin_of] == [moved]


def test_a_round_may_begin_at_a_moment(graph: Graph, microsoft: Microsoft) -> None:
    arrive(microsoft, "Old", at=1_000_000_000.0)
    arrive(microsoft, "New")
    asked = {**ASKED, "$filter": "receivedDateTime ge 2020-01-01T00:00:00Z"}
    assert [one["subject"] for one in page(graph, INBOX, **asked)["value"]] == ["New"]


def test_what_was_begun_can_be_forgotten(graph: Graph, microsoft: Microsoft) -> None:
    arrive(microsoft, *"abc")
    first = page(graph, INBOX, most=2, **ASKED)
    newest = microsoft.tell("delta", account=OFFICE)["generation"]
    words = refused(graph.call("GET", first["@odata.nextLink"]), 410, "SyncStateNotFound")
    assert f"generation={newest - 1};[highest={newest}]" in words
    assert len(page(graph, INBOX, **ASKED)["value"]) == 3


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({}, "BadRequest"),
        ({"changeType": "updated"}, "BadRequest"),
        ({**ASKED, "$search": "x"}, "BadRequest"),
        ({**ASKED, "$select": "colour"}, "BadRequest"),
        ({**ASKED, "$filter": "subject eq 'x'"}, "ErrorInvalidUrlQuery"),
        ({"$deltatoken": "nonsense"}, "ErrorInvalidUrlQuery"),
    ],
)
def test_what_it_does_not_know_it_refuses(graph: Graph, asked: dict[str, str], code: str) -> None:
    refused(graph.call("GET", INBOX, params=asked), 400, code)


def test_basic_reading_shows_headers_and_nothing_of_the_text(microsoft: Microsoft) -> None:
    (message,) = arrive(microsoft, "Hello")
    basic = microsoft.graph(scopes=FULL.replace("Mail.ReadWrite", "Mail.ReadBasic"))
    found = basic.get(f"/messages/{message}")
    assert found["subject"] == "Hello" and not {"body", "bodyPreview"} & found.keys()
    headers = basic.get(f"/messages/{message}", **{"$select": "internetMessageHeaders"})
    assert {"name": "Subject", "value": "Hello"} in headers["internetMessageHeaders"]
    refused(basic.call("GET", f"/messages/{message}/$value"), 403, "ErrorAccessDenied")
    expand = {"$expand": "singleValueExtendedProperties($filter=id eq 'Integer 0x0E08')"}
    path = f"/messages/{message}"
    refused(basic.call("GET", path, params=expand), 403, "ErrorAccessDenied")
    size = microsoft.graph().get(path, **expand)["singleValueExtendedProperties"]
    assert size[0]["id"] == "Integer 0xe08" and int(size[0]["value"]) > 50
