"""Gmail's calls at the local Google: what goes in, what comes out, and who may ask."""

import base64
from email import message_from_bytes
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from portal.sandbox.server import SandboxServer
from portal.sandbox.settings import MAX_MESSAGE_BYTES
from tests.sandbox.visitor import (
    FULL,
    GMAIL,
    OFFICE,
    Gmail,
    Steering,
    encoded,
    letter,
    letter_with_pdf,
)

READONLY = f"{GMAIL}readonly {GMAIL}compose"


def refused(answer: requests.Response, code: int, reason: str) -> str:
    """The message of a refusal, once its code and reason are as told."""
    assert answer.status_code == code, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["errors"][0]["reason"]) == (code, reason)
    return str(error["message"])


# Sending


def test_a_draft_is_sent_once_and_becomes_another_message(gmail: Gmail, steering: Steering) -> None:
    created = gmail.post("/drafts", message={"raw": encoded(letter())})
    assert created["message"]["labelIds"] == ["DRAFT"]
    sent = gmail.post("/drafts/send", id=created["id"])
    assert sent["labelIds"] == ["SENT"]
    assert sent["id"] != created["message"]["id"]
    assert sent["threadId"] == created["message"]["threadId"]
    again = gmail.call("POST", "/drafts/send", json={"id": created["id"]})
    assert refused(again, 404, "notFound") == "Requested entity was not found."
    assert not gmail.has_draft(created["id"])
    assert gmail.call("GET", f"/messages/{created['message']['id']}").status_code in (403, 404)
    (accepted,) = steering.accepted()
    assert (accepted["id"], accepted["draft_id"]) == (sent["id"], created["id"])


@pytest.mark.parametrize(
    ("asked", "used"),
    [
        (OFFICE, OFFICE),
        ("Bright Spark <OFFICE@brightspark.example>", "Bright Spark <OFFICE@brightspark.example>"),
        ("Tom <tom@brightspark.example>", "Tom <tom@brightspark.example>"),
        ("quotes@brightspark.example", f"Bright Spark Plumbing <{OFFICE}>"),
        ("nia@brightspark.example", f"Bright Spark Plumbing <{OFFICE}>"),
        ("boss@rival.example", f"Bright Spark Plumbing <{OFFICE}>"),
    ],
)
def test_an_address_that_was_not_verified_is_replaced_without_a_word(
    gmail: Gmail, steering: Steering, asked: str, used: str
) -> None:
    sent = gmail.send(letter(sender=asked))
    assert gmail.headers(sent["id"])["From"] == used
    (accepted,) = steering.accepted()
    assert (accepted["asked_from"], accepted["from"]) == (asked, used)


def test_the_default_address_takes_the_place_of_a_foreign_one(
    gmail: Gmail, steering: Steering
) -> None:
    tom = "tom@brightspark.example"
    steering.tell("aliases", account=OFFICE, email=tom, status="accepted", default=True)
    sent = gmail.send(letter(sender="nia@brightspark.example"))
    assert gmail.headers(sent["id"])["From"] == f"Tom Baker <{tom}>"


def test_the_message_id_is_always_googles_and_x_headers_survive(gmail: Gmail) -> None:
    raw = letter(Message_ID="<mine@brightspark.example>", X_Sendwright_Dispatch="7f3a")
    for sent in (gmail.send(raw), gmail.post("/drafts/send", id=gmail.draft(raw))):
        headers = gmail.headers(sent["id"])
        assert headers["Message-ID"].endswith("@mail.gmail.com>")
        assert headers["X-Sendwright-Dispatch"] == "7f3a"
        assert headers["Date"]


def test_a_saved_draft_keeps_the_from_it_was_given(gmail: Gmail, steering: Steering) -> None:
    draft = gmail.draft(letter(sender="nia@brightspark.example"))
    payload = gmail.get(f"/drafts/{draft}", format="metadata")["message"]["payload"]
    found = {one["name"]: one["value"] for one in payload["headers"]}
    assert found["From"] == "nia@brightspark.example"
    assert found["Message-ID"].endswith("@mail.gmail.com>")


def test_bytes_given_while_sending_a_draft_replace_what_it_held(
    gmail: Gmail, steering: Steering
) -> None:
    draft = gmail.draft(letter(body="old"))
    gmail.post("/drafts/send", id=draft, message={"raw": encoded(letter(body="new"))})
    (accepted,) = steering.ask("accepted?raw=1")
    assert base64.urlsafe_b64decode(accepted["raw"]).rstrip().endswith(b"new")


def test_a_changed_draft_keeps_its_id_and_gets_a_new_message(gmail: Gmail) -> None:
    created = gmail.post("/drafts", message={"raw": encoded(letter(body="old"))})
    body = {"message": {"raw": encoded(letter(body="new"))}}
    changed = gmail.call("PUT", f"/drafts/{created['id']}", json=body).json()
    assert changed["id"] == created["id"]
    assert changed["message"]["id"] != created["message"]["id"]
    assert gmail.get(f"/drafts/{created['id']}")["message"]["snippet"] == "new"
    assert len(gmail.get("/drafts")["drafts"]) == 1


def test_a_deleted_draft_is_gone(gmail: Gmail, steering: Steering) -> None:
    draft = gmail.draft(letter())
    assert gmail.call("DELETE", f"/drafts/{draft}").status_code == 204
    assert refused(gmail.call("GET", f"/drafts/{draft}"), 404, "notFound")
    assert refused(gmail.call("POST", "/drafts/send", json={"id": draft}), 404, "notFound")
    assert steering.accepted() == []


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (letter(to=""), "Recipient address required"),
        (b"From: a@b.example\r\nTo: not an address\r\n\r\nx", "Invalid To header"),
        (b"From: a@b.example\r\nTo: a@b@c\r\n\r\nx", "Invalid To header"),
        (letter(Cc="nobody"), "Invalid Cc header"),
        (letter(to=", ".join(f"p{n}@x.example" for n in range(501))), "Recipient limit exceeded"),
    ],
)
def test_mail_without_proper_recipients_is_refused_and_nothing_is_kept(
    gmail: Gmail, steering: Steering, raw: bytes, words: str
) -> None:
    answer = gmail.call("POST", "/messages/send", json={"raw": encoded(raw)})
    assert refused(answer, 400, "invalidArgument") == words
    draft = gmail.draft(raw)
    answer = gmail.call("POST", "/drafts/send", json={"id": draft})
    assert refused(answer, 400, "invalidArgument") == words
    assert gmail.has_draft(draft)
    assert steering.accepted() == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "invalidArgument"),
        ({"raw": "&&&"}, "badRequest"),
        ({"raw": 3}, "badRequest"),
        ({"raw": encoded(letter()), "spam": 1}, "badRequest"),
        ([], "invalidArgument"),
    ],
)
def test_a_body_google_could_not_read_is_refused(gmail: Gmail, body: Any, reason: str) -> None:
    refused(gmail.call("POST", "/messages/send", json=body), 400, reason)


def test_a_body_that_is_no_json_is_refused(gmail: Gmail) -> None:
    refused(gmail.call("POST", "/messages/send", data=b"{"), 400, "parseError")


@pytest.mark.parametrize("message", ["text", 3, ["raw"]])
def test_a_draft_whose_message_is_no_object_is_refused(gmail: Gmail, message: Any) -> None:
    refused(gmail.call("POST", "/drafts", json={"message": message}), 400, "invalidArgument")


def test_mail_of_more_than_35_megabytes_is_refused(gmail: Gmail, steering: Steering) -> None:
    raw = letter(body="x") + b"y" * MAX_MESSAGE_BYTES
    answer = gmail.call(
        "POST",
        "/messages/send",
        root="/upload/gmail/v1/users/me",
        params={"uploadType": "media"},
        data=raw,
        headers={"Content-Type": "message/rfc822"},
    )
    refused(answer, 413, "uploadTooLarge")
    assert steering.accepted() == []


def test_the_upload_addresses_take_bare_and_multipart_mail(
    gmail: Gmail, steering: Steering
) -> None:
    def upload(path: str, kind: str, data: bytes, content: str) -> requests.Response:
        return gmail.call(
            *("POST", path),
            root="/upload/gmail/v1/users/me",
            params={"uploadType": kind},
            data=data,
            headers={"Content-Type": content},
        )

    assert upload("/messages/send", "media", letter(), "message/rfc822").status_code == 200
    related = (
        b"--b\r\nContent-Type: application/json\r\n\r\n{}\r\n"
        b"--b\r\nContent-Type: message/rfc822\r\n\r\n" + letter_with_pdf() + b"\r\n--b--\r\n"
    )
    answer = upload("/drafts", "multipart", related, "multipart/related; boundary=b")
    assert answer.status_code == 200, answer.text
    gmail.post("/drafts/send", id=answer.json()["id"])
    raw = base64.urlsafe_b64decode(steering.ask("accepted?raw=1")[1]["raw"])
    assert message_from_bytes(raw).get_payload()[1].get_content_type() == "application/pdf"
    wrong = upload("/messages/send", "media", letter(), "application/json")
    assert "message/*" in refused(wrong, 400, "badContent")
    bare = upload("/messages/send", "multipart", b"--b--", "multipart/related; boundary=b")
    refused(bare, 400, "badContent")


def test_a_reply_joins_the_thread_it_names(gmail: Gmail) -> None:
    first = gmail.send(letter())
    reply = gmail.post("/messages/send", raw=encoded(letter()), threadId=first["threadId"])
    assert reply["threadId"] == first["threadId"]
    assert len(gmail.get(f"/threads/{first['threadId']}", format="minimal")["messages"]) == 2
    body = {"raw": encoded(letter()), "threadId": "abc"}
    refused(gmail.call("POST", "/messages/send", json=body), 404, "notFound")


# Reading


def test_the_metadata_scope_reads_headers_and_nothing_more(gmail: Gmail) -> None:
    sent = gmail.send(letter_with_pdf())
    told = gmail.get(f"/messages/{sent['id']}", format="metadata", metadataHeaders=["From", "to"])
    assert [one["name"] for one in told["payload"]["headers"]] == ["From", "To"]
    assert "parts" not in told["payload"] and "body" not in told["payload"]
    for format in ("full", "raw", None):
        answer = gmail.call("GET", f"/messages/{sent['id']}", params={"format": format})
        assert refused(answer, 403, "forbidden").startswith("Metadata scope doesn't allow format")
    answer = gmail.call("GET", "/messages", params={"q": "rfc822msgid:x"})
    assert refused(answer, 403, "forbidden") == "Metadata scope does not support 'q' parameter"


def test_readonly_beside_metadata_is_refused_a_search_too(steering: Steering) -> None:
    both = steering.gmail(scopes=f"{FULL} {GMAIL}readonly")
    refused(both.call("GET", "/messages", params={"q": "in:sent"}), 403, "forbidden")


def test_a_whole_message_is_read_part_by_part(steering: Steering) -> None:
    reader = steering.gmail(scopes=READONLY)
    sent = reader.send(letter_with_pdf())
    payload = reader.get(f"/messages/{sent['id']}")["payload"]
    assert payload["mimeType"] == "multipart/mixed"
    alternative, pdf = payload["parts"]
    text = base64.urlsafe_b64decode(alternative["parts"][0]["body"]["data"]).decode()
    assert text.startswith("Here is your invoice, $1,240.00.")
    assert pdf["filename"] == "INV-0042 – Lee.pdf"
    token = pdf["body"]["attachmentId"]
    data = reader.get(f"/messages/{sent['id']}/attachments/{token}")
    assert base64.urlsafe_b64decode(data["data"]) == b"%PDF-1.7 pretend"
    assert data["size"] == pdf["body"]["size"]
    subject = next(h["value"] for h in payload["headers"] if h["name"] == "Subject")
    assert subject == "INV-0042 – due"


def test_raw_is_the_whole_mail_as_google_stored_it(steering: Steering) -> None:
    reader = steering.gmail(scopes=READONLY)
    raw = letter_with_pdf()
    sent = reader.send(raw)
    told = reader.get(f"/messages/{sent['id']}", format="raw")
    stored = base64.urlsafe_b64decode(told["raw"])
    assert stored.partition(b"\r\n\r\n")[2] == raw.partition(b"\n\n")[2]
    assert told["sizeEstimate"] == len(stored)


def test_the_sent_list_is_newest_first_and_comes_in_pages(gmail: Gmail) -> None:
    sent = [gmail.send(letter(body=str(number)))["id"] for number in range(5)]
    first = gmail.get("/messages", labelIds="SENT", maxResults=3)
    rest = gmail.get("/messages", labelIds="SENT", pageToken=first["nextPageToken"])
    found = [one["id"] for one in first["messages"] + rest["messages"]]
    assert found == sent[::-1]
    assert "nextPageToken" not in rest
    assert gmail.get("/messages", labelIds=["SENT", "INBOX"]) == {"resultSizeEstimate": 0}
    refused(gmail.call("GET", "/messages", params={"labelIds": "NOPE"}), 400, "invalidArgument")


def test_a_reader_may_search(steering: Steering) -> None:
    reader = steering.gmail(scopes=READONLY)
    wanted = reader.send(letter(to="max@elsewhere.example", body="copper pipe"))
    reader.send(letter(body="nothing"))
    headers = reader.get(f"/messages/{wanted['id']}", format="metadata")["payload"]["headers"]
    message_id = next(one["value"] for one in headers if one["name"] == "Message-ID")
    for query in (
        f"rfc822msgid:{message_id}",
        "to:max@elsewhere.example in:sent",
        '"copper pipe"',
    ):
        found = reader.get("/messages", q=query)["messages"]
        assert [one["id"] for one in found] == [wanted["id"]], query


def test_history_tells_what_was_added_and_forgets_after_a_while(
    gmail: Gmail, steering: Steering
) -> None:
    start = gmail.get("/profile")["historyId"]
    assert gmail.get("/history", startHistoryId=start) == {"historyId": start}
    sent = gmail.send(letter(to=OFFICE))
    gmail.draft(letter())
    told = gmail.get("/history", startHistoryId=start, historyTypes="messageAdded", labelId="INBOX")
    (record,) = told["history"]
    assert record["messagesAdded"][0]["message"]["id"] == sent["id"]
    assert int(told["historyId"]) > int(start)
    steering.tell("history", account=OFFICE)
    late = gmail.call("GET", "/history", params={"startHistoryId": start})
    refused(late, 404, "notFound")
    refused(gmail.call("GET", "/history"), 400, "invalidArgument")


def test_labels_count_what_bears_them(gmail: Gmail) -> None:
    gmail.send(letter(to=OFFICE))
    names = [one["id"] for one in gmail.get("/labels")["labels"]]
    assert {"INBOX", "SENT", "DRAFT", "SPAM"} <= set(names)
    inbox = gmail.get("/labels/INBOX")
    assert (inbox["messagesTotal"], inbox["messagesUnread"]) == (1, 1)
    refused(gmail.call("GET", "/labels/NOPE"), 404, "notFound")


def test_only_the_own_mailbox_can_be_called_by_me_or_its_address(gmail: Gmail) -> None:
    own = gmail.call("GET", "/profile", root=f"/gmail/v1/users/{OFFICE}")
    assert own.json()["emailAddress"] == OFFICE
    foreign = gmail.call("GET", "/profile", root="/gmail/v1/users/max@elsewhere.example")
    assert refused(foreign, 403, "forbidden") == f"Delegation denied for {OFFICE}"
    other = gmail.send(letter(to="max@elsewhere.example"))["id"]
    steering = Steering(gmail.origin)
    answer = steering.gmail("max@elsewhere.example").call(
        "GET", f"/messages/{other}?format=minimal"
    )
    refused(answer, 404, "notFound")


FIELDS = ("From", "To", "Cc", "Subject", "Content-Type", "Content-Disposition", "References")
ODD = (
    *("=?utf-8?b?!!!?=", "=?nope?q?=FF?=", "multipart/mixed; boundary=b", "message/rfc822"),
    *("text/html; charset=a\x00b", "attachment; filename*=utf-8''%ff", "mary.lee@homes.example"),
    *("ghost@homes.example", "a@b,,;:", "<", "\r\n folded", "\xff\xfe", "\x00"),
)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@example(fields=[("To", ["=?nope?q?=FF?=", "ghost@homes.example"])], body=b"x")
@given(
    fields=st.lists(st.tuples(st.sampled_from(FIELDS), st.lists(st.sampled_from(ODD)))),
    body=st.one_of(st.binary(max_size=40), st.just(b"--b\r\n\r\nx\r\n--b--")),
)
def test_no_mail_however_odd_upsets_anything(
    server: SandboxServer, fields: list[tuple[str, list[str]]], body: bytes
) -> None:
    server.google.reset(mail_only=True)
    steering = Steering(server.url)
    reader = steering.gmail(scopes="https://mail.google.com/")
    head = "".join(f"{name}: {''.join(values)}\r\n" for name, values in fields)
    created = reader.post(
        "/drafts", message={"raw": encoded(head.encode("latin-1") + b"\r\n" + body)}
    )
    for format in ("full", "raw", "metadata"):
        reader.get(f"/messages/{created['message']['id']}", format=format)
    answer = reader.call("POST", "/drafts/send", json={"id": created["id"]})
    assert answer.status_code in (200, 400), answer.text
    steering.ask("accepted?raw=1")
    for place in ("drafts", "sent", f"message/{answer.json().get('id', created['message']['id'])}"):
        page = requests.get(f"{server.url}/mail/u/{OFFICE}/{place}", timeout=5)
        assert page.status_code == 200, place


# Who may ask


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("send", {"send"}),
        ("compose", {"send", "draft", "drafts", "profile"}),
        ("metadata", {"profile", "list", "history", "labels"}),
        ("readonly", {"profile", "list", "history", "labels", "addresses", "drafts"}),
        ("settings.basic", {"addresses"}),
        (
            "modify",
            {"send", "draft", "drafts", "profile", "list", "history", "labels", "addresses"},
        ),
    ],
)
def test_each_scope_opens_its_own_doors_only(
    steering: Steering, scope: str, allowed: set[str]
) -> None:
    caller = steering.gmail(scopes=GMAIL + scope)
    raw = encoded(letter())
    doors: dict[str, tuple[str, str, dict[str, Any]]] = {
        "send": ("POST", "/messages/send", {"json": {"raw": raw}}),
        "draft": ("POST", "/drafts", {"json": {"message": {"raw": raw}}}),
        "drafts": ("GET", "/drafts", {}),
        "profile": ("GET", "/profile", {}),
        "list": ("GET", "/messages", {}),
        "history": ("GET", "/history", {"params": {"startHistoryId": "9000"}}),
        "labels": ("GET", "/labels", {}),
        "addresses": ("GET", "/settings/sendAs", {}),
    }
    for door, (verb, path, sent) in doors.items():
        answer = caller.call(verb, path, **sent)
        if door in allowed:
            assert answer.status_code == 200, (door, answer.text)
        else:
            words = refused(answer, 403, "insufficientPermissions")
            assert words == "Request had insufficient authentication scopes."
            assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]


def test_who_shows_no_token_or_a_wrong_one_is_turned_away(gmail: Gmail) -> None:
    path = f"{gmail.origin}/gmail/v1/users/me/profile"
    refused(requests.get(path, timeout=5), 401, "required")
    wrong = requests.get(path, headers={"Authorization": "Bearer ya29.wrong"}, timeout=5)
    assert 'error="invalid_token"' in wrong.headers["WWW-Authenticate"]
    refused(wrong, 401, "authError")


def test_an_account_without_gmail_says_so(gmail: Gmail, steering: Steering) -> None:
    steering.tell("accounts", email=OFFICE, gmail=False)
    words = refused(gmail.call("GET", "/profile"), 400, "failedPrecondition")
    assert words == "Mail service not enabled"


def test_a_method_that_is_not_drawn_says_so_in_googles_shape(gmail: Gmail) -> None:
    refused(gmail.call("POST", "/watch", json={}), 501, "notImplemented")
    refused(gmail.call("DELETE", "/profile"), 405, "badRequest")
