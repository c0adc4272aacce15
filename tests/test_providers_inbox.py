"""Reading what comes in at Gmail and Microsoft 365: the traps of each, beside what all promise.

What every kind of mailbox promises is in tests/contract/test_incoming.py.
"""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from portal.envelope import Gone, NeedsPermission, TryLater
from portal.providers import Graph, gmail, gmail_inbox, graph
from portal.providers.gmail_inbox import Mark, put_together
from portal.providers.graph import DELTA, access
from portal.providers.graph_answers import Forgotten, answer_for
from portal.providers.provider import INCOMING_LARGEST, Access
from portal.sandbox.microsoft import MicrosoftServer
from portal.sandbox.server import SandboxServer
from tests.contract.inboxes import GmailInboxes, MicrosoftInboxes
from tests.contract.standins import OFFICE
from tests.contract.test_incoming import from_mary, read_up, subjects
from tests.office365 import Microsoft

SINCE = datetime.now(UTC) - timedelta(days=3)


# Gmail


def test_the_narrow_permission_wins_beside_a_wide_one() -> None:
    """Gmail refuses bodies as soon as it is there (google-api-python-client issue 582)."""
    narrow, wide = set(gmail.FULL_SCOPES), set(gmail.WHOLE_SCOPES)
    assert gmail.abilities(narrow).incoming is Access.HEADERS
    assert gmail.abilities(wide).incoming is Access.WHOLE
    assert gmail.abilities(narrow | wide).incoming is Access.HEADERS
    assert gmail.abilities(set(gmail.SEND_ONLY_SCOPES)).incoming is Access.NONE
    for scopes in (narrow, wide):  # nothing is lost by either
        found = gmail.abilities(scopes)
        assert found.two_phase and found.list_addresses and found.read_sent


def test_mail_that_a_filter_sorted_away_or_called_spam_comes_in_too(
    local_google: SandboxServer,
) -> None:
    there = GmailInboxes(local_google.url)
    mailbox = there.mailbox()
    mark = read_up(mailbox, "", SINCE)[2]
    for labels in (["SPAM"], ["UNREAD", "CATEGORY_UPDATES"], ["SENT"], ["DRAFT"]):
        told = base64.urlsafe_b64encode(from_mary(" ".join(labels))).decode()
        there._tell("deliver", account=OFFICE, raw=told, labels=labels)
    _, ids, _ = read_up(mailbox, mark, SINCE)
    assert subjects(mailbox, ids) == ["SPAM", "UNREAD CATEGORY_UPDATES"]
    _, ids, _ = read_up(mailbox, "", SINCE)  # a list cannot be asked for as much
    assert subjects(mailbox, ids) == ["SPAM"]


def test_what_a_mailbox_writes_to_itself_comes_in(local_google: SandboxServer) -> None:
    mailbox = GmailInboxes(local_google.url).mailbox()
    mark = read_up(mailbox, "", SINCE)[2]
    mail = f"From: {OFFICE}\r\nTo: {OFFICE}\r\nSubject: A test\r\n\r\nTo myself\r\n".encode()
    receipt = mailbox.send_draft(mailbox.create_draft(mail))
    assert read_up(mailbox, mark, SINCE)[1] == [receipt.message_id]


def test_a_link_leads_its_owner_to_the_message(local_google: SandboxServer) -> None:
    there = GmailInboxes(local_google.url)
    there.arrive(from_mary("Hello"))
    mailbox = there.mailbox()
    (message_id,) = read_up(mailbox, "", SINCE)[1]
    link = mailbox.incoming(message_id).link
    assert link == f"{local_google.url}/mail/u/{OFFICE}/#all/{message_id}"
    assert requests.get(link, timeout=5).ok


class Told:
    """Answers of Gmail's as they were written down, and what was asked for them."""

    def __init__(self, *answers: dict[str, Any] | Exception) -> None:
        self.answers, self.asked = list(answers), list[tuple[str, dict[str, str]]]()

    def __call__(self, method: str, item: str = "", **query: str) -> dict[str, Any]:
        self.asked.append((method, query))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_pages_of_history_without_anything_in_them_are_passed_over() -> None:
    added = [{"message": {"id": "a1", "labelIds": ["INBOX"]}}, {"message": {"id": "a1"}}]
    told = Told(
        {"nextPageToken": "p2", "historyId": "99"},
        {"history": [{"id": "57", "messagesAdded": added}], "nextPageToken": "p3"},
    )
    found = gmail_inbox.look(told, str(Mark("50")), SINCE)
    assert found.ids == ("a1",) and found.more
    assert Mark.read(found.mark) == Mark("57")  # not the page: its token may be forgotten by then
    assert [query.get("pageToken") for _, query in told.asked] == [None, "p2"]
    with pytest.raises(TryLater):
        gmail_inbox.look(Told(*[{"nextPageToken": "p"}] * 99), str(Mark("50")), SINCE)


def test_a_page_of_a_list_that_is_forgotten_is_listed_from_the_beginning() -> None:
    refused = TryLater("", "400 invalidArgument Invalid pageToken")
    told = Told(refused, {"messages": [{"id": "a1"}]}, {"internalDate": "9000000000000"})
    found = gmail_inbox.look(told, str(Mark("50", "INBOX", "stale")), SINCE)
    assert found.ids == ("a1",) and found.relisted
    assert Mark.read(found.mark) == Mark("50", "SPAM", "", relisted=True)
    with pytest.raises(TryLater):
        gmail_inbox.look(Told(TryLater("", "503")), str(Mark("50", "INBOX", "p")), SINCE)


def test_a_list_is_cut_where_it_becomes_too_old_for_a_few_calls() -> None:
    """Under the metadata scope nothing can be searched for: times are looked at one by one."""
    ids = [f"{number:03x}" for number in range(100)]

    def asking(method: str, item: str = "", **query: str) -> dict[str, Any]:
        asked.append(method)
        if method == "messages.list":
            return {"messages": [{"id": one} for one in ids], "nextPageToken": "more"}
        if item == "025":
            raise Gone("", "")  # deleted just now
        old = ids.index(item) >= 37
        return {"internalDate": str(int((SINCE - timedelta(hours=old)).timestamp() * 1000) + 5)}

    asked: list[str] = []
    found = gmail_inbox.look(asking, str(Mark("50", "INBOX")), SINCE)
    assert len(found.ids) in (37, 38) and found.ids == tuple(ids[: len(found.ids)])
    assert asked.count("messages.get") <= 9
    assert Mark.read(found.mark) == Mark("50", "SPAM")  # and the list goes no further back


LIKE_MARKS = st.lists(st.none() | st.booleans() | st.text(max_size=5), max_size=5).map(json.dumps)


@settings(max_examples=50)
@given(st.text(max_size=40) | LIKE_MARKS)
def test_a_mark_of_another_kind_is_none(text: str) -> None:
    found = Mark.read(text)
    assert found is None or Mark.read(str(found)) == found


def test_a_large_report_is_put_together_from_its_parts() -> None:
    def part(kind: str, text: str, **more: Any) -> dict[str, Any]:
        data = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
        about = [{"name": "Content-Type", "value": kind}]
        about.append({"name": "Content-Transfer-Encoding", "value": "base64"})
        return {"mimeType": kind, "headers": about, "body": {"data": data}, **more}

    kind = "multipart/report; report-type=delivery-status; boundary=edge"
    original = part("text/plain", "Dear Mary")
    payload = {
        "mimeType": "multipart/report",
        "headers": [
            {"name": "Subject", "value": "Undeliverable"},
            {"name": "Content-Type", "value": kind},
        ],
        "parts": [
            part("text/plain", "It came back."),
            part("message/delivery-status", "Reporting-MTA: dns; x\n\nStatus: 5.1.1\n"),
            part("message/rfc822", "", parts=[original]),
            {"mimeType": "image/png", "body": {"attachmentId": "1", "size": 9}},
        ],
    }
    mail = message_from_bytes(put_together(payload))
    kinds = [one.get_content_type() for one in mail.walk()]
    assert mail["Subject"] == "Undeliverable" and "message/delivery-status" in kinds
    assert "5.1.1" in str(mail) and "Dear Mary" in str(mail) and "It came back." in str(mail)


PARTS: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.fixed_dictionaries({}, optional={"body": st.just({"data": "aGk"}), "mimeType": st.text()}),
    lambda inner: st.fixed_dictionaries({"parts": st.lists(inner, max_size=3)}),
    max_leaves=12,
)


@settings(max_examples=50)
@given(PARTS)
def test_any_tree_of_parts_is_put_together(payload: dict[str, Any]) -> None:
    message_from_bytes(put_together(payload))


# Microsoft 365


@pytest.mark.parametrize(
    ("scopes", "own", "shared"),
    [
        ({"Mail.ReadWrite"}, Access.WHOLE, Access.NONE),
        ({"Mail.Read", "Mail.Send"}, Access.WHOLE, Access.NONE),
        ({"Mail.ReadBasic"}, Access.HEADERS, Access.NONE),
        ({"Mail.Send", "Mail.Read.Shared"}, Access.NONE, Access.WHOLE),
        ({"Mail.ReadBasic.Shared"}, Access.NONE, Access.HEADERS),
        ({"Mail.Send"}, Access.NONE, Access.NONE),
    ],
)
def test_each_permission_reads_so_much(scopes: set[str], own: Access, shared: Access) -> None:
    assert graph.abilities(scopes).incoming is access(scopes) is own
    assert access(scopes, shared=True) is shared


@pytest.mark.parametrize(
    ("status", "code"),
    [(410, "SyncStateNotFound"), (410, "resyncRequired"), (400, "syncStateInvalid")],
)
def test_a_delta_that_is_forgotten_is_begun_again(status: int, code: str) -> None:
    body = json.dumps({"error": {"code": code, "message": "generation=605"}}).encode()
    assert type(answer_for(status, {}, body, DELTA)) is Forgotten


def shared_inbox(microsoft: Microsoft, *scopes: str) -> Graph:
    """Of the accounts department, read by the office."""
    asked = (*graph.FULL_SCOPES, *scopes)
    token = str(microsoft.grant(scopes=asked)["access_token"])
    where = "accounts@brightspark.example"
    return Graph(microsoft.url, set(asked), lambda refused: token, 2.0, settles=0, inbox=where)


def test_a_shared_mailbox_is_read_where_its_owner_lets_it(local_microsoft: MicrosoftServer) -> None:
    microsoft = Microsoft(local_microsoft.url)
    raw = base64.urlsafe_b64encode(from_mary("To accounts")).decode()
    microsoft.tell("deliver", account="accounts@brightspark.example", raw=raw)
    mailbox = shared_inbox(microsoft, "Mail.Read.Shared")
    (message_id,) = read_up(mailbox, "", SINCE)[1]
    assert subjects(mailbox, [message_id]) == ["To accounts"]
    right = {"account": OFFICE, "mailbox": "accounts@brightspark.example", "kind": "full_access"}
    microsoft.tell("rights", **right, given=False)
    with pytest.raises(NeedsPermission):
        mailbox.arrivals("", since=SINCE)
    assert not shared_inbox(microsoft).reads_incoming


def test_a_link_of_microsofts_leads_to_the_message(local_microsoft: MicrosoftServer) -> None:
    there = MicrosoftInboxes(local_microsoft.url)
    there.arrive(from_mary("Hello from Mary"))
    mailbox = there.mailbox()
    (message_id,) = read_up(mailbox, "", SINCE)[1]
    page = requests.get(mailbox.incoming(message_id).link, timeout=5)
    assert page.ok and "Hello from Mary" in page.text


def test_a_link_to_elsewhere_is_not_followed(
    local_microsoft: MicrosoftServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox = MicrosoftInboxes(local_microsoft.url).mailbox()
    elsewhere = {"value": [], "@odata.deltaLink": "https://elsewhere.example/v1.0/me"}
    monkeypatch.setattr(Graph, "_asked", lambda *_, **__: elsewhere)
    with pytest.raises(TryLater):
        mailbox.arrivals("", since=SINCE)
    monkeypatch.setattr(Graph, "_asked", lambda *_, **__: {"value": []})
    with pytest.raises(TryLater):
        mailbox.arrivals("", since=SINCE)


def answering(monkeypatch: pytest.MonkeyPatch, *answers: Callable[[], Any]) -> None:
    left = list(answers)
    monkeypatch.setattr(Graph, "_answered", lambda *_, **__: left.pop(0)())


def test_a_report_of_exchanges_own_may_tell_no_headers_and_not_be_written_as_mail(
    local_microsoft: MicrosoftServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox = MicrosoftInboxes(local_microsoft.url).mailbox()
    sender = {"emailAddress": {"name": "Microsoft Outlook", "address": "postmaster@x.example"}}
    told: dict[str, Any] = {"id": "AAk", "subject": "Undeliverable: Invoice", "from": sender}
    told |= {"singleValueExtendedProperties": [{"id": "Integer 0xe08", "value": "4711"}]}

    def refused() -> Any:
        raise TryLater("", "500 ErrorMimeContentConversionFailed no")

    answering(monkeypatch, lambda: (200, {}, json.dumps(told).encode()), refused)
    one = mailbox.incoming("AAk")
    assert one.raw is None and one.size == 4711
    assert dict(one.headers)["Subject"] == "Undeliverable: Invoice"
    assert "postmaster@x.example" in dict(one.headers)["From"]


def test_a_message_of_nothing_but_headers_is_told_without_them(
    local_microsoft: MicrosoftServer,
) -> None:
    there = MicrosoftInboxes(local_microsoft.url)
    many = "".join(f"X-Odd-{number}: {'x' * 900}\r\n" for number in range(2500))
    assert len(many) > INCOMING_LARGEST
    there.arrive(many.encode() + from_mary("All head"))
    mailbox = there.mailbox()
    (message_id,) = read_up(mailbox, "", SINCE)[1]
    one = mailbox.incoming(message_id, whole=False)
    assert dict(one.headers)["Subject"] == "All head" and len(one.headers) < 5
