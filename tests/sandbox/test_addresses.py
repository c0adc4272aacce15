"""Send-from addresses: a person adds them on the settings page, the API only lists them."""

import re
from typing import Any

import pytest

from tests.sandbox.visitor import GMAIL, OFFICE, Gmail, Steering, Visitor

SETTINGS = f"/mail/u/{OFFICE}/settings/accounts"
NEW = "accounts@brightspark.example"


def status(gmail: Gmail, email: str) -> str | None:
    """What the API says of an address: its status, `usable` where that is blank, or None."""
    listed: list[dict[str, Any]] = gmail.get("/settings/sendAs")["sendAs"]
    for one in listed:
        if one["sendAsEmail"] == email:
            return str(one.get("verificationStatus", "usable"))
    return None


def add(visitor: Visitor, email: str, name: str = "Accounts") -> None:
    visitor.open(SETTINGS)
    visitor.press("Add another email address")
    visitor.press("Next Step", {"name": name, "email": email})


def newest_mail(visitor: Visitor, email: str) -> str:
    visitor.open(f"/mail/u/{email}/")
    visitor.press("Send Mail as")
    assert visitor.page
    return visitor.page.text


def test_the_list_shows_the_main_address_the_verified_and_the_pending_one(gmail: Gmail) -> None:
    listed = gmail.get("/settings/sendAs")["sendAs"]
    assert [one["sendAsEmail"].partition("@")[0] for one in listed] == ["office", "tom", "quotes"]
    office, tom, quotes = listed
    assert office["isPrimary"] and office["isDefault"] and "verificationStatus" not in office
    assert (tom["verificationStatus"], tom["displayName"]) == ("accepted", "Tom Baker")
    assert quotes["verificationStatus"] == "pending"
    assert gmail.get("/settings/sendAs/tom@brightspark.example") == tom
    assert gmail.call("GET", "/settings/sendAs/nobody@brightspark.example").status_code == 404


def test_an_address_is_added_and_proved_by_its_code(visitor: Visitor, gmail: Gmail) -> None:
    add(visitor, NEW)
    assert status(gmail, NEW) is None
    visitor.press("Send Verification")
    assert status(gmail, NEW) == "pending"
    verify_page = visitor.page
    mail = newest_mail(visitor, NEW)
    assert "brightspark.example Confirmation - Send Mail as accounts@brightspark.example" in mail
    assert "Gmail Team <gmail-noreply@google.com>" in mail
    code = re.search(r"code: (\d{9})", mail)
    assert code
    visitor.page = verify_page
    visitor.press("Verify", {"code": "123"})
    assert visitor.page and "This is not the code" in visitor.page.text
    assert visitor.page.soup.select_one("#code")["value"] == "123"  # type: ignore[index]
    visitor.press("Verify", {"code": f" {code[1]} "})
    assert status(gmail, NEW) == "accepted"


def test_an_address_is_proved_by_the_link_and_its_button(visitor: Visitor, gmail: Gmail) -> None:
    add(visitor, NEW)
    visitor.press("Send Verification")
    newest_mail(visitor, NEW)
    visitor.press("/mail/confirm/")
    assert visitor.page and visitor.page.title == "Confirm this address?"
    assert status(gmail, NEW) == "pending"
    link = visitor.page.url
    visitor.press("Confirm")
    assert status(gmail, NEW) == "accepted"
    visitor.open(link)
    assert visitor.page.title == "This link does not work any more"


def test_the_mail_can_be_sent_again(visitor: Visitor) -> None:
    add(visitor, NEW)
    visitor.press("Send Verification")
    visitor.press("Send the mail again")
    visitor.open(f"/mail/u/{NEW}/")
    assert visitor.page and visitor.page.text.count("Send Mail as") == 2


def test_an_address_outside_the_domain_needs_a_mail_server(visitor: Visitor, gmail: Gmail) -> None:
    outside = "max@elsewhere.example"
    add(visitor, outside)
    assert visitor.page and "mail server" in visitor.page.title
    visitor.press("Add Account", {"port": "many"})
    assert "Type the name of the server" in visitor.page.text
    assert "Type a port number" in visitor.page.text
    assert status(gmail, outside) is None
    visitor.press("Add Account", {"host": "smtp.elsewhere.example", "port": "587"})
    listed = gmail.get(f"/settings/sendAs/{outside}")
    assert listed["verificationStatus"] == "pending"
    assert (listed["smtpMsa"]["host"], listed["smtpMsa"]["port"]) == ("smtp.elsewhere.example", 587)
    assert "elsewhere.example Confirmation" not in newest_mail(visitor, outside)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("", "one complete e-mail address"),
        ("accounts", "one complete e-mail address"),
        ("a@b.example, c@d.example", "one complete e-mail address"),
        ("a@b.example\r\nBcc: x@y.example", "one complete e-mail address"),
        ("TOM@brightspark.example", "is already on your list"),
    ],
)
def test_what_cannot_be_added_is_said_and_kept(visitor: Visitor, typed: str, words: str) -> None:
    add(visitor, typed, name="Someone")
    assert visitor.page and words in visitor.page.text
    assert visitor.page.soup.select_one("#name")["value"] == "Someone"  # type: ignore[index]
    assert visitor.page.soup.select_one("#email")["value"] == typed.strip()  # type: ignore[index]


def test_a_workspace_alias_of_the_account_itself_needs_no_proof(
    visitor: Visitor, steering: Steering
) -> None:
    olive = "olive@brightspark.example"
    mailbox = steering.gmail(olive)
    assert status(mailbox, "olive.park@brightspark.example") == "usable"
    steering.tell("accounts", email=olive, aliases=["hello@brightspark.example"])
    assert status(mailbox, "hello@brightspark.example") == "usable"


def test_the_default_can_move_and_comes_home_when_its_address_is_deleted(
    visitor: Visitor, gmail: Gmail
) -> None:
    visitor.open(SETTINGS)
    visitor.press("make default : tom@")
    assert gmail.get("/settings/sendAs/tom@brightspark.example")["isDefault"]
    visitor.press("delete tom@")
    assert status(gmail, "tom@brightspark.example") is None
    assert gmail.get(f"/settings/sendAs/{OFFICE}")["isDefault"]


def test_a_pending_address_cannot_become_the_default(visitor: Visitor, gmail: Gmail) -> None:
    visitor.session.post(
        f"{visitor.origin}{SETTINGS}/quotes@brightspark.example/default", timeout=5
    )
    assert gmail.get(f"/settings/sendAs/{OFFICE}")["isDefault"]


def test_an_ordinary_caller_may_not_manage_addresses(steering: Steering) -> None:
    sharing = steering.gmail(scopes=f"{GMAIL}settings.sharing {GMAIL}settings.basic")
    tom = "/settings/sendAs/tom@brightspark.example"
    for verb, path, body in (
        ("POST", "/settings/sendAs", {"sendAsEmail": NEW}),
        ("PATCH", tom, {"displayName": "T"}),
        ("PUT", tom, {"displayName": "T"}),
        ("DELETE", tom, None),
        ("POST", f"{tom}/verify", None),
    ):
        answer = sharing.call(verb, path, json=body)
        assert answer.status_code == 403, (verb, path)
        assert answer.json()["error"]["message"] == (
            "Access restricted to service accounts that have been delegated domain-wide authority"
        )
    assert status(sharing, "tom@brightspark.example") == "accepted"
    assert status(sharing, NEW) is None


def test_of_the_main_address_the_wording_may_be_changed(gmail: Gmail) -> None:
    path = f"/settings/sendAs/{OFFICE}"
    changed = gmail.call("PATCH", path, json={"displayName": "Bright Spark"}).json()
    assert changed["displayName"] == gmail.get(path)["displayName"] == "Bright Spark"


def test_steering_sets_and_takes_an_address_at_once(gmail: Gmail, steering: Steering) -> None:
    told = {"account": OFFICE, "email": "quotes@brightspark.example"}
    assert steering.tell("aliases", **told, status="accepted")["status"] == "accepted"
    assert status(gmail, told["email"]) == "accepted"
    steering.tell("aliases", **told, status="pending")
    assert status(gmail, told["email"]) == "pending"
    answer = gmail.session.delete(f"{gmail.origin}/_sandbox/aliases", json=told, timeout=5)
    assert answer.status_code == 200
    assert status(gmail, told["email"]) is None
