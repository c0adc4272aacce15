"""Where mail goes: to inboxes of the local Google, back as a failure, or away."""

import base64
from email import message_from_bytes
from email.message import Message
from typing import Any

import pytest
import requests

from tests.sandbox.visitor import GMAIL, OFFICE, Gmail, Steering, encoded, letter, letter_with_pdf

READER = f"{GMAIL}readonly {GMAIL}compose"
MARY = "mary.lee@homes.example"


def inbox(steering: Steering, email: str) -> list[Message]:
    """The mails in an inbox, oldest first."""
    reader = steering.gmail(email, READER)
    found = reader.get("/messages", labelIds="INBOX").get("messages", [])
    raws = [reader.get(f"/messages/{one['id']}", format="raw")["raw"] for one in found]
    return [message_from_bytes(base64.urlsafe_b64decode(raw)) for raw in raws][::-1]


def text_of(part: Any) -> str:
    return str(part.as_string())


def test_mail_arrives_as_it_was_sent_from_the_address_really_used(
    gmail: Gmail, steering: Steering
) -> None:
    sent = gmail.send(letter(sender="nia@brightspark.example", X_Sendwright_Dispatch="7f3a"))
    (arrived,) = inbox(steering, MARY)
    assert arrived["From"] == f"Bright Spark Plumbing <{OFFICE}>"
    assert arrived["Message-ID"] == gmail.headers(sent["id"])["Message-ID"]
    assert arrived["X-Sendwright-Dispatch"] == "7f3a"
    assert arrived["Delivered-To"] == MARY


def test_attachments_arrive_whole(gmail: Gmail, steering: Steering) -> None:
    gmail.send(letter_with_pdf())
    (arrived,) = inbox(steering, MARY)
    assert arrived.get_payload()[1].get_payload(decode=True) == b"%PDF-1.7 pretend"  # type: ignore[index,union-attr]


def test_everybody_named_gets_one_copy_and_sees_no_blind_copies(
    gmail: Gmail, steering: Steering
) -> None:
    blind = "max@elsewhere.example, olive@brightspark.example"
    gmail.send(letter(Cc="Mary <MARY.LEE@homes.example>", Bcc=blind))
    assert len(inbox(steering, MARY)) == 1
    for email in (MARY, "max@elsewhere.example", "olive@brightspark.example"):
        assert inbox(steering, email)[0]["Bcc"] is None
    (accepted,) = steering.accepted()
    assert accepted["bcc"] == blind


def test_mail_to_oneself_is_one_message_in_both_places(gmail: Gmail) -> None:
    sent = gmail.send(letter(to=OFFICE))
    assert set(sent["labelIds"]) == {"SENT", "INBOX", "UNREAD"}
    assert len(gmail.get("/messages")["messages"]) == 1


def test_mail_to_a_workspace_alias_reaches_its_account(gmail: Gmail, steering: Steering) -> None:
    gmail.send(letter(to="olive.park@brightspark.example"))
    assert len(inbox(steering, "olive@brightspark.example")) == 1


def test_mail_to_foreign_domains_just_leaves(gmail: Gmail, steering: Steering) -> None:
    gmail.send(letter(to="someone@foreign.example"))
    assert len(steering.accepted()) == 1
    assert inbox(steering, OFFICE) == []


def test_mail_to_nobody_comes_back_as_gmail_reports_it(gmail: Gmail, steering: Steering) -> None:
    sent = gmail.send(letter(to="ghost@homes.example", X_Sendwright_Dispatch="7f3a"))
    message_id = gmail.headers(sent["id"])["Message-ID"]
    (report,) = inbox(steering, OFFICE)
    assert report["From"] == "Mail Delivery Subsystem <mailer-daemon@googlemail.com>"
    assert report["Return-Path"] == "<>"
    assert report["Auto-Submitted"] == "auto-replied"
    assert report["Subject"] == "Delivery Status Notification (Failure)"
    assert report["X-Failed-Recipients"] == "ghost@homes.example"
    assert report["In-Reply-To"] == report["References"] == message_id
    assert report.get_content_type() == "multipart/report"
    words, status, original = report.get_payload()
    assert words.get_content_type() == "multipart/related"  # type: ignore[union-attr]
    told = text_of(status)
    for line in (
        "Final-Recipient: rfc822; ghost@homes.example",
        "Action: failed",
        "Status: 5.1.1",
        message_id,
    ):
        assert line in told
    assert "X-Sendwright-Dispatch: 7f3a" in text_of(original)


def test_a_report_joins_the_thread_of_what_failed(gmail: Gmail) -> None:
    sent = gmail.send(letter(to="ghost@homes.example"))
    thread = gmail.get(f"/threads/{sent['threadId']}", format="minimal")
    assert [one["labelIds"] for one in thread["messages"]] == [["SENT"], ["INBOX", "UNREAD"]]


def test_a_big_mail_comes_back_by_its_headers(gmail: Gmail, steering: Steering) -> None:
    gmail.send(letter(to="ghost@homes.example", body="x\n" * 30_000, X_Sendwright_Dispatch="7f3a"))
    (report,) = inbox(steering, OFFICE)
    assert len(report.as_bytes()) < 10_000
    assert "X-Sendwright-Dispatch: 7f3a" in text_of(report)


@pytest.mark.parametrize(
    ("status", "subject", "action"),
    [("5.2.2", "(Failure)", "failed"), ("4.4.1", "(Delay)", "delayed")],
)
def test_steering_says_what_becomes_of_mail_to_an_address(
    gmail: Gmail, steering: Steering, status: str, subject: str, action: str
) -> None:
    steering.tell("undeliverable", email="full@foreign.example", status=status)
    gmail.send(letter(to="full@foreign.example"))
    (report,) = inbox(steering, OFFICE)
    assert subject in report["Subject"]
    assert f"Action: {action}" in text_of(report) and f"Status: {status}" in text_of(report)


def test_a_new_account_owns_its_domain(gmail: Gmail, steering: Steering) -> None:
    steering.tell("accounts", email="pat@newtown.example", name="Pat", workspace=False)
    gmail.send(letter(to="pat@newtown.example, ghost@newtown.example"))
    assert len(inbox(steering, "pat@newtown.example")) == 1
    assert inbox(steering, OFFICE)[0]["X-Failed-Recipients"] == "ghost@newtown.example"


def test_a_flood_is_delivered_at_once_and_deleted_by_its_owner(
    gmail: Gmail, steering: Steering
) -> None:
    start = gmail.get("/profile")["historyId"]
    raw = encoded(letter(sender=MARY, to=OFFICE))
    mails = [{"raw": raw}, {"raw": raw, "at": 1_700_000_000}, {"raw": raw, "labels": ["SPAM"]}]
    first, old, spam = steering.tell("deliver", account=OFFICE, mails=mails)["ids"]
    assert len(inbox(steering, OFFICE)) == 2
    assert gmail.get(f"/messages/{old}", format="minimal")["internalDate"] == "1700000000000"
    assert gmail.get(f"/messages/{spam}", format="minimal")["labelIds"] == ["SPAM"]
    added = gmail.get("/history", startHistoryId=start)["history"]
    assert [one["messages"][0]["id"] for one in added] == [first, old, spam]
    told = {"account": OFFICE}
    where = f"{steering.origin}/_sandbox/messages/{first}"
    assert requests.delete(where, json=told, timeout=5).ok
    assert gmail.call("GET", f"/messages/{first}?format=minimal").status_code == 404


def test_mail_from_outside_can_be_delivered(gmail: Gmail, steering: Steering) -> None:
    steering.tell("deliver", account=OFFICE, raw=encoded(letter(sender=MARY, to=OFFICE)))
    (arrived,) = inbox(steering, OFFICE)
    assert arrived["From"] == MARY
