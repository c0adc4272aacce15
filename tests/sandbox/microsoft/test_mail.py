"""Graph's mail at the local Microsoft: what goes in, what comes out, who may send as whom."""

import base64
from email import message_from_bytes
from typing import Any

import pytest

from portal.sandbox.mime import from_base64url
from tests.sandbox.microsoft.client import (
    ACCOUNTS,
    FULL,
    MARY,
    NIA,
    OFFICE,
    OLIVE,
    ORDERS,
    SHARED,
    TOM,
    Graph,
    Microsoft,
    refused,
)
from tests.sandbox.visitor import letter, letter_with_pdf

DISPATCH = "X-Sendwright-Dispatch"
PROPERTY = "String {7a1c4f62-6a2b-4f6c-9a53-9f1d0b6f3c11} Name dispatch"
FILE = "#microsoft.graph.fileAttachment"
QUOTES = "quotes@brightspark.example"


def sender_of(message: dict[str, Any]) -> tuple[str, ...]:
    return tuple(message[name]["emailAddress"]["address"] for name in ("from", "sender"))


# A draft and its sending


def test_a_draft_keeps_its_immutable_id_as_it_is_sent(graph: Graph, microsoft: Microsoft) -> None:
    microsoft.tell("settings", send_delay=30.0)
    draft = graph.draft(letter())
    assert draft["isDraft"]
    answer = graph.send(draft["id"])
    assert (answer.status_code, answer.content) == (202, b"")
    assert graph.get(f"/messages/{draft['id']}")["isDraft"], "it has not left yet"
    (accepted,) = microsoft.accepted()
    assert accepted["left_at"] is None
    microsoft.tell("clock", advance=31)
    sent = graph.get(f"/messages/{draft['id']}")
    assert not sent["isDraft"]
    assert sent["internetMessageId"] == draft["internetMessageId"]
    assert sent["parentFolderId"] == graph.get("/mailFolders/sentitems")["id"]
    (accepted,) = microsoft.accepted()
    assert accepted["left_at"] and accepted["id"] == draft["id"]


def test_without_the_header_the_id_changes_on_the_way(graph: Graph) -> None:
    made = graph.call("POST", "/messages", immutable=False, json={"toRecipients": [
        {"emailAddress": {"address": MARY}}]}).json()  # fmt: skip
    assert graph.call("POST", f"/messages/{made['id']}/send", immutable=False).status_code == 202
    gone = graph.call("GET", f"/messages/{made['id']}", immutable=False)
    assert "not found in the store" in refused(gone, 404, "ErrorItemNotFound")
    (sent,) = graph.get("/mailFolders/sentitems/messages")["value"]
    there = graph.call("GET", f"/messages/{sent['id']}", immutable=False)
    refused(there, 404, "ErrorItemNotFound")


def test_an_immutable_id_that_does_not_hold_leaves_the_message_id(
    graph: Graph, microsoft: Microsoft
) -> None:
    microsoft.tell("settings", immutable_ids_hold=False)
    draft = graph.draft(letter())
    assert graph.send(draft["id"]).status_code == 202
    refused(graph.call("GET", f"/messages/{draft['id']}"), 404, "ErrorItemNotFound")
    found = graph.get(
        "/messages", **{"$filter": f"internetMessageId eq '{draft['internetMessageId']}'"}
    )
    assert [one["isDraft"] for one in found["value"]] == [False]


def test_a_message_on_its_way_is_not_sent_again_nor_changed(
    graph: Graph, microsoft: Microsoft
) -> None:
    microsoft.tell("settings", send_delay=30.0)
    draft = graph.sent(letter())
    for verb, path in (("POST", "/send"), ("PATCH", ""), ("DELETE", "")):
        answer = graph.call(verb, f"/messages/{draft}{path}", json={"subject": "x"})
        refused(answer, 409, "ErrorIrresolvableConflict")
    microsoft.tell("clock", advance=31)
    refused(graph.send(draft), 404, "ErrorItemNotFound")
    assert len(microsoft.accepted()) == 1
    microsoft.tell("settings", sends_again=True)
    assert graph.send(draft).status_code == 202
    assert len(microsoft.accepted()) == 2


def test_a_deleted_draft_is_still_found_in_deleted_items(graph: Graph) -> None:
    draft = graph.draft(letter())["id"]
    assert graph.call("DELETE", f"/messages/{draft}").status_code == 204
    found = graph.get(f"/messages/{draft}")
    assert found["isDraft"]
    assert found["parentFolderId"] == graph.get("/mailFolders/deleteditems")["id"]
    assert graph.call("DELETE", f"/messages/{draft}").status_code == 204
    refused(graph.call("GET", f"/messages/{draft}"), 404, "ErrorItemNotFound")
    other = graph.draft(letter())["id"]
    assert graph.call("POST", f"/messages/{other}/permanentDelete").status_code == 204
    refused(graph.call("GET", f"/messages/{other}"), 404, "ErrorItemNotFound")


# What is kept of the mail


def test_mime_gets_a_message_id_of_exchanges_and_keeps_x_headers(
    graph: Graph, microsoft: Microsoft
) -> None:
    own = {f"X_Own_{number}": str(number) for number in range(5)}
    raw = letter(
        Message_ID="<mine@brightspark.example>", X_Sendwright_Dispatch="7f3a", Foo="y", **own
    )
    draft = graph.draft(raw)
    assert draft["internetMessageId"].endswith(".PROD.OUTLOOK.COM>")
    listed = graph.get(f"/messages/{draft['id']}", **{"$select": "internetMessageHeaders"})
    names = [one["name"] for one in listed["internetMessageHeaders"]]
    assert names == [DISPATCH, "X-Own-0", "X-Own-1", "X-Own-2", "X-Own-3"], "five, not six"
    assert graph.send(draft["id"]).status_code == 202
    whole = message_from_bytes(graph.call("GET", f"/messages/{draft['id']}/$value").content)
    assert (whole[DISPATCH], whole["Foo"]) == ("7f3a", None)
    (accepted,) = microsoft.accepted()
    assert accepted["headers"][DISPATCH] == "7f3a"


def test_the_sent_copy_lists_no_headers_though_its_mime_bears_them(
    graph: Graph, microsoft: Microsoft
) -> None:
    sent = graph.sent(letter(X_Sendwright_Dispatch="7f3a"))
    told = graph.get(f"/messages/{sent}", **{"$select": "internetMessageHeaders,isDraft"})
    assert "internetMessageHeaders" not in told and not told["isDraft"]
    mary = microsoft.graph(MARY)
    told = mary.get("/mailFolders/inbox/messages", **{"$select": "internetMessageHeaders"})
    (got,) = told["value"]
    assert {"name": DISPATCH, "value": "7f3a"} in got["internetMessageHeaders"]
    microsoft.tell("settings", headers_on_sent_copies=True)
    told = graph.get(f"/messages/{sent}", **{"$select": "internetMessageHeaders"})
    assert {"name": DISPATCH, "value": "7f3a"} in told["internetMessageHeaders"]


@pytest.mark.parametrize("body", [b"From: a@b.example\r\n\r\nx", b"A-_=", b"", b"QQ"])
def test_mime_has_to_be_in_standard_base64(graph: Graph, body: bytes) -> None:
    answer = graph.call("POST", "/messages", data=body, headers={"Content-Type": "text/plain"})
    words = refused(answer, 400, "ErrorMimeContentInvalidBase64String")
    assert words == "Invalid base64 string for MIME content."


def test_json_makes_the_same_mail(graph: Graph, microsoft: Microsoft) -> None:
    told = {
        "subject": "INV-0042 – due",
        "body": {"contentType": "HTML", "content": "<p>Here is your <b>invoice</b>.</p>"},
        "toRecipients": [{"emailAddress": {"name": "Mary Lee", "address": MARY}}],
        "replyTo": [{"emailAddress": {"address": TOM}}],
        "internetMessageHeaders": [{"name": DISPATCH, "value": "7f3a"}],
        "attachments": [
            {
                "@odata.type": FILE,
                "name": "INV-0042 – Lee.pdf",
                "contentType": "application/pdf",
                "contentBytes": base64.b64encode(b"%PDF-1.7 pretend").decode(),
            }
        ],
        "singleValueExtendedProperties": [{"id": PROPERTY, "value": "7f3a"}],
    }
    answer = graph.call("POST", "/messages", json=told)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["hasAttachments"], made["body"]["contentType"]) == (True, "html")
    assert "internetMessageHeaders" not in made and "from" not in made
    assert graph.send(made["id"]).status_code == 202
    (accepted,) = microsoft.ask("accepted?raw=1")
    mail = message_from_bytes(from_base64url(accepted["raw"]))
    assert mail["Subject"] and mail[DISPATCH] == "7f3a"
    assert accepted["from"] == f"Bright Spark Plumbing <{OFFICE}>"
    files = graph.get(f"/messages/{made['id']}/attachments")["value"]
    assert [base64.b64decode(one["contentBytes"]) for one in files] == [b"%PDF-1.7 pretend"]
    assert files[0]["name"] == "INV-0042 – Lee.pdf"


def test_what_is_kept_beside_the_mail_finds_it_when_it_was_sent(graph: Graph) -> None:
    sent = graph.sent(letter())
    graph.sent(letter())
    answer = graph.call("PATCH", f"/messages/{sent}", json={
        "singleValueExtendedProperties": [{"id": PROPERTY, "value": "7f3a"}]})  # fmt: skip
    assert answer.status_code == 200, answer.text
    wanted = f"singleValueExtendedProperties/any(p: p/id eq '{PROPERTY}' and p/value eq '7f3a')"
    found = graph.get(
        "/mailFolders/sentitems/messages",
        **{
            "$filter": wanted,
            "$select": "id",
            "$expand": f"singleValueExtendedProperties($filter=id eq '{PROPERTY}')",
        },
    )["value"]
    assert [one["id"] for one in found] == [sent]
    assert found[0]["singleValueExtendedProperties"] == [{"id": PROPERTY, "value": "7f3a"}]


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"internetMessageHeaders": []}, "InvalidInternetMessageHeaderCollection"),
        (
            {"internetMessageHeaders": [{"name": f"x-{n}", "value": "1"} for n in range(6)]},
            "InvalidInternetMessageHeaderCollection",
        ),
        (
            {"internetMessageHeaders": [{"name": "Foo", "value": "1"}]},
            "InvalidInternetMessageHeader",
        ),
        ({"spam": 1}, "RequestBodyRead"),
        ({"toRecipients": ["mary"]}, "BadRequest"),
        ({"subject": "two\r\nBcc: all@homes.example"}, "BadRequest"),
        ({"attachments": [{"name": "a", "contentBytes": "&&&"}]}, "RequestBodyRead"),
        ([], "BadRequest"),
    ],
)
def test_json_that_graph_could_not_read_is_refused(graph: Graph, told: Any, code: str) -> None:
    refused(graph.call("POST", "/messages", json=told), 400, code)
    assert graph.get("/messages")["value"] == []


def test_a_draft_can_be_changed_and_a_sent_message_cannot(
    graph: Graph, microsoft: Microsoft
) -> None:
    draft = graph.draft(letter_with_pdf())["id"]
    answer = graph.call("PATCH", f"/messages/{draft}", json={
        "subject": "Anew", "body": {"contentType": "text", "content": "another text"},
        "ccRecipients": [{"emailAddress": {"address": TOM}}]})  # fmt: skip
    assert answer.status_code == 200, answer.text
    changed = answer.json()
    assert (changed["subject"], changed["bodyPreview"]) == ("Anew", "another text")
    assert [one["name"] for one in graph.get(f"/messages/{draft}/attachments")["value"]]
    assert graph.send(draft).status_code == 202
    (accepted,) = microsoft.accepted()
    assert (accepted["cc"], accepted["headers"][DISPATCH]) == (TOM, "7f3a")
    late = graph.call("PATCH", f"/messages/{draft}", json={"subject": "Later"})
    refused(late, 400, "ErrorInvalidPropertyUpdateSentMessage")
    assert graph.call("PATCH", f"/messages/{draft}", json={"isRead": False}).status_code == 200


# Attachments in pieces


def test_a_large_file_goes_up_in_pieces_and_down_in_the_mail(
    graph: Graph, microsoft: Microsoft
) -> None:
    draft, data = graph.draft(letter())["id"], b"%PDF" + bytes(3_500_000)
    asked = {"attachmentType": "file", "name": "plan.pdf", "size": len(data),
             "contentType": "application/pdf"}  # fmt: skip
    path = f"/messages/{draft}/attachments/createUploadSession"
    session = graph.call("POST", path, json={"AttachmentItem": asked})
    assert session.status_code == 201, session.text
    assert session.json()["nextExpectedRanges"] == ["0-"]
    target = session.json()["uploadUrl"]

    def piece(start: int, end: int) -> Any:
        told = f"bytes {start}-{end - 1}/{len(data)}"
        return graph.session.put(
            target, data=data[start:end], headers={"Content-Range": told}, timeout=10
        )

    first = piece(0, 2_000_000)
    assert (first.status_code, first.json()["nextExpectedRanges"]) == (200, ["2000000"])
    assert piece(3_000_000, len(data)).status_code == 416, "in order, without gaps"
    last = piece(2_000_000, len(data))
    assert last.status_code == 201 and "/Attachments('" in last.headers["Location"]
    assert piece(2_000_000, len(data)).status_code == 404, "the session is over"
    assert graph.send(draft).status_code == 202
    (accepted,) = microsoft.ask("accepted?raw=1")
    parts = message_from_bytes(from_base64url(accepted["raw"])).get_payload()
    assert parts[1].get_payload(decode=True) == data  # type: ignore[union-attr, index]


def test_small_files_need_no_session_and_sessions_are_for_drafts(
    graph: Graph, microsoft: Microsoft
) -> None:
    draft = graph.draft(letter())["id"]
    path = f"/messages/{draft}/attachments"
    small = {"AttachmentItem": {"attachmentType": "file", "name": "a", "size": 10}}
    answer = graph.call("POST", f"{path}/createUploadSession", json=small)
    refused(answer, 400, "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize")
    told = {
        "@odata.type": FILE,
        "name": "a.txt",
        "contentBytes": "YQ==",
    }
    made = graph.call("POST", path, json=told)
    assert (made.status_code, made.json()["size"]) == (201, 1)
    assert graph.get(f"{path}/{made.json()['id']}")["contentBytes"] == "YQ=="
    assert graph.call("DELETE", f"{path}/{made.json()['id']}").status_code == 204
    assert graph.get(path)["value"] == []
    assert graph.send(draft).status_code == 202
    assert microsoft.accepted()
    late = graph.call("POST", path, json=told)
    refused(late, 400, "ErrorInvalidPropertyUpdateSentMessage")


# Sending in one step


def test_send_mail_answers_nothing_to_ask_about(graph: Graph, microsoft: Microsoft) -> None:
    answer = graph.mime("/sendMail", letter(X_Sendwright_Dispatch="7f3a"))
    assert (answer.status_code, answer.content) == (202, b"")
    message = {"subject": "Hi", "toRecipients": [{"emailAddress": {"address": MARY}}]}
    told = {"message": message, "saveToSentItems": False}
    assert graph.call("POST", "/sendMail", json=told).status_code == 202
    assert len(microsoft.accepted()) == 2
    (kept,) = graph.get("/mailFolders/sentitems/messages")["value"]
    assert kept["subject"] == "INV-0042"
    assert len(microsoft.graph(MARY).get("/mailFolders/inbox/messages")["value"]) == 2


@pytest.mark.parametrize("to", ["", "not an address", "a@b@c"])
def test_mail_without_proper_recipients_is_refused(
    graph: Graph, microsoft: Microsoft, to: str
) -> None:
    draft = graph.draft(letter(to=to))["id"]
    refused(graph.send(draft), 400, "ErrorInvalidRecipients")
    refused(graph.mime("/sendMail", letter(to=to)), 400, "ErrorInvalidRecipients")
    assert graph.get(f"/messages/{draft}")["isDraft"]
    assert microsoft.accepted() == []


def test_mail_to_nobody_of_ours_comes_back(graph: Graph) -> None:
    graph.sent(letter(to="ghost@homes.example"))
    (report,) = graph.get("/mailFolders/inbox/messages")["value"]
    assert report["subject"] == "Undeliverable: INV-0042"
    whole = graph.call("GET", f"/messages/{report['id']}/$value").text
    assert "Final-Recipient: rfc822;ghost@homes.example" in whole and "Status: 5.1.10" in whole


# Who may send as whom


@pytest.mark.parametrize("name", ["", "The Office "])
def test_the_own_address_bears_the_directorys_name(graph: Graph, name: str) -> None:
    sent = graph.get(f"/messages/{graph.sent(letter(sender=f'{name}<{OFFICE}>'))}")
    assert sent["from"]["emailAddress"] == {"name": "Bright Spark Plumbing", "address": OFFICE}


@pytest.mark.parametrize(("enabled", "used"), [(False, OFFICE), (True, QUOTES)])
def test_an_alias_is_replaced_without_a_word_unless_the_tenant_lets_it_be(
    graph: Graph, microsoft: Microsoft, enabled: bool, used: str
) -> None:
    microsoft.tell("tenants", domain="brightspark.example", send_from_alias=enabled)
    sent = graph.get(f"/messages/{graph.sent(letter(sender=QUOTES))}")
    assert sender_of(sent) == (used, used)
    (accepted,) = microsoft.accepted()
    assert accepted["asked_from"] == QUOTES


@pytest.mark.parametrize(
    ("who", "sender"),
    [(OFFICE, ACCOUNTS), (TOM, TOM)],
    ids=["send as", "send on behalf"],
)
def test_a_shared_mailbox_is_sent_from_by_whoever_has_the_right(
    microsoft: Microsoft, who: str, sender: str
) -> None:
    graph = microsoft.graph(who, SHARED)
    sent = graph.get(f"/messages/{graph.sent(letter(sender=ACCOUNTS))}")
    assert sender_of(sent) == (ACCOUNTS, sender)


@pytest.mark.parametrize("sender", [ACCOUNTS, OFFICE, ORDERS, "nobody@brightspark.example"])
def test_nobody_sends_as_another_without_the_right(microsoft: Microsoft, sender: str) -> None:
    graph = microsoft.graph(NIA, SHARED)
    draft = graph.draft(letter(sender=sender))["id"]
    words = refused(graph.send(draft), 403, "ErrorSendAsDenied")
    assert words.endswith("Cannot submit message.")
    assert graph.get(f"/messages/{draft}")["isDraft"]
    microsoft.tell("rights", account=NIA, mailbox=ACCOUNTS, kind="send_as")
    assert graph.send(draft).status_code == (202 if sender == ACCOUNTS else 403)


def test_the_right_alone_is_not_enough_the_app_needs_its_scope(microsoft: Microsoft) -> None:
    graph = microsoft.graph(OFFICE, FULL)
    refused(graph.send(graph.draft(letter(sender=ACCOUNTS))["id"]), 403, "ErrorAccessDenied")


def test_anothers_mailbox_opens_to_full_access_with_the_shared_scopes(microsoft: Microsoft) -> None:
    opened = microsoft.graph(OLIVE, SHARED, ACCOUNTS)
    sent = opened.sent(letter(sender=ACCOUNTS))
    assert not opened.get(f"/messages/{sent}")["isDraft"]
    assert microsoft.graph(OLIVE).get("/mailFolders/sentitems/messages")["value"] == []
    for who, scopes in ((TOM, SHARED), (OLIVE, FULL)):
        refused(
            microsoft.graph(who, scopes, ACCOUNTS).call("GET", "/messages"),
            *(403, "ErrorAccessDenied"),
        )
    stranger = microsoft.graph(OLIVE, SHARED, ORDERS).call("GET", "/messages")
    refused(stranger, 404, "ErrorInvalidUser")
    own = microsoft.graph(OFFICE, FULL, OFFICE)
    assert own.get("/messages")["value"] == []


# Accounts, scopes and ids that do not fit


def test_an_account_without_a_mailbox_signs_in_and_can_do_no_more(microsoft: Microsoft) -> None:
    graph = microsoft.graph("apprentice@brightspark.example")
    assert graph.get("")["mail"] is None
    refused(graph.call("GET", "/messages"), 404, "MailboxNotEnabledForRESTAPI")
    refused(graph.mime("/sendMail", letter()), 404, "MailboxNotEnabledForRESTAPI")


def test_each_call_needs_its_scope(microsoft: Microsoft) -> None:
    only_send = microsoft.graph(scopes="openid User.Read Mail.Send")
    assert only_send.mime("/sendMail", letter()).status_code == 202
    refused(only_send.mime("/messages", letter()), 403, "ErrorAccessDenied")
    refused(only_send.call("GET", "/messages"), 403, "ErrorAccessDenied")
    nobody = microsoft.graph(scopes="openid Mail.Send")
    refused(nobody.call("GET", ""), 403, "Authorization_RequestDenied")
    refused(Graph(microsoft.origin, "").call("GET", ""), 401, "InvalidAuthenticationToken")


def test_ids_that_are_none_and_methods_that_are_not_there(graph: Graph) -> None:
    refused(graph.call("GET", "/messages/abc"), 400, "ErrorInvalidIdMalformed")
    refused(graph.call("GET", "/messages/AAkALgAAnothing="), 404, "ErrorItemNotFound")
    refused(graph.call("GET", "/mailFolders/nowhere/messages"), 400, "ErrorInvalidIdMalformed")
    refused(graph.call("GET", "/calendar"), 400, "BadRequest")
    wrong = graph.call("POST", "/messages", data=b"x", headers={"Content-Type": "text/html"})
    refused(wrong, 415, "UnsupportedMediaType")


def test_a_person_has_addresses_beside_the_first(graph: Graph) -> None:
    known = graph.get("", **{"$select": "mail,proxyAddresses"})
    assert known["proxyAddresses"] == [f"SMTP:{OFFICE}", f"smtp:{QUOTES}"]


# Lists


def test_a_list_is_newest_first_and_comes_in_pages(graph: Graph) -> None:
    sent = [graph.sent(letter(body=str(number))) for number in range(5)]
    first = graph.get("/mailFolders/sentitems/messages", **{"$top": 3, "$select": "subject"})
    assert set(first["value"][0]) == {"@odata.etag", "id", "subject"}
    rest = graph.call("GET", first["@odata.nextLink"]).json()
    assert [one["id"] for one in first["value"] + rest["value"]] == sent[::-1]
    assert "@odata.nextLink" not in rest


def test_filters_and_orders_fit_together_or_are_too_complex(
    graph: Graph, microsoft: Microsoft
) -> None:
    old = graph.sent(letter(X_Number="1"))
    microsoft.tell("clock", advance=1800)
    new = graph.sent(letter())
    moment = graph.get(f"/messages/{new}")["sentDateTime"]
    path = "/mailFolders/sentitems/messages"

    def found(**asked: str) -> list[str]:
        told = {f"${name}": value for name, value in asked.items()}
        return [one["id"] for one in graph.get(path, **told)["value"]]

    assert found(filter=f"sentDateTime ge {moment}") == [new]
    assert found(filter=f"sentDateTime lt {moment} and subject eq 'INV-0042'") == [old]
    assert found(filter=f"from/emailAddress/address eq '{OFFICE}'", top="1") == [new]
    assert found(filter="startswith(subject,'INV') and isDraft eq false", skip="1") == [old]
    assert found(orderby="sentDateTime asc") == [old, new]
    ordered = "sentDateTime ge 2020-01-01T00:00:00Z and subject eq 'INV-0042'"
    assert found(filter=ordered, orderby="sentDateTime desc") == [new, old]
    for wrong, code in (
        ({"$filter": "subject eq 'INV-0042'", "$orderby": "sentDateTime"}, "InefficientFilter"),
        ({"$filter": "spam eq 'x'"}, "BadRequest"),
        ({"$filter": "subject like 'x'"}, "BadRequest"),
        ({"$filter": "sentDateTime ge yesterday"}, "BadRequest"),
        ({"$select": "spam"}, "BadRequest"),
        ({"$top": "5000"}, "BadRequest"),
        ({"$skip": "x"}, "BadRequest"),
    ):
        refused(graph.call("GET", path, params=wrong), 400, code)
