"""Google's own Python client walks the whole story, and notices no difference."""

import base64
import re
from email import message_from_bytes
from typing import Any

import google.auth.transport.requests
import pytest
import requests
from google.auth.exceptions import RefreshError
from google.oauth2.credentials import Credentials
from google_auth_oauthlib.flow import Flow
from googleapiclient.errors import HttpError
from googleapiclient.http import MediaInMemoryUpload

from portal.sandbox.server import SandboxServer
from tests.contract.conftest import SCOPES, official_client
from tests.sandbox.visitor import (
    CALLBACK,
    OFFICE,
    Steering,
    Visitor,
    encoded,
    letter,
    letter_with_pdf,
)

NEW = "accounts@brightspark.example"
#: What https://accounts.google.com/.well-known/openid-configuration names.
DISCOVERY_NAMES = {
    "issuer",
    "authorization_endpoint",
    "device_authorization_endpoint",
    "token_endpoint",
    "userinfo_endpoint",
    "revocation_endpoint",
    "jwks_uri",
    "response_types_supported",
    "response_modes_supported",
    "subject_types_supported",
    "id_token_signing_alg_values_supported",
    "scopes_supported",
    "token_endpoint_auth_methods_supported",
    "claims_supported",
    "code_challenge_methods_supported",
    "grant_types_supported",
}


def headers_of(message: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in message["payload"]["headers"]}


def confirm_by_mail(server: SandboxServer, address: str) -> None:
    """The person's part: Gmail's settings, the mail in the new address's inbox, its code."""
    visitor = Visitor(server.url)
    visitor.open(f"/mail/u/{OFFICE}/settings/accounts")
    visitor.press("Add another email address")
    visitor.press("Next Step", {"name": "Bright Spark Accounts", "email": address})
    visitor.press("Send Verification")
    verify_page = visitor.page
    visitor.open(f"/mail/u/{address}/")
    visitor.press("Send Mail as")
    assert visitor.page
    code = re.search(r"code: (\d+)", visitor.page.text)
    assert code
    visitor.page = verify_page
    visitor.press("Verify", {"code": code[1]})


def test_the_discovery_document_names_what_googles_names(
    server: SandboxServer, official: Any
) -> None:
    known = requests.get(f"{server.url}/.well-known/openid-configuration", timeout=5).json()
    assert set(known) == DISCOVERY_NAMES
    assert known["issuer"] == server.url
    assert official.users().getProfile(userId="me").execute()["emailAddress"] == OFFICE


def test_the_whole_story(server: SandboxServer, official: Any, steering: Steering) -> None:
    users = official.users()
    profile = users.getProfile(userId="me").execute()

    def statuses() -> dict[str, str]:
        listed = users.settings().sendAs().list(userId="me").execute()["sendAs"]
        return {one["sendAsEmail"]: one.get("verificationStatus", "") for one in listed}

    assert NEW not in statuses()
    confirm_by_mail(server, NEW)
    assert statuses()[NEW] == "accepted"

    raw = letter(sender=f"Bright Spark Accounts <{NEW}>", X_Sendwright_Dispatch="7f3a")
    draft = users.drafts().create(userId="me", body={"message": {"raw": encoded(raw)}}).execute()
    assert users.drafts().get(userId="me", id=draft["id"]).execute()["id"] == draft["id"]
    sent = users.drafts().send(userId="me", body={"id": draft["id"]}).execute()
    with pytest.raises(HttpError) as gone:
        users.drafts().send(userId="me", body={"id": draft["id"]}).execute()
    assert gone.value.status_code == 404
    assert gone.value.reason == "Requested entity was not found."

    copy = users.messages().get(userId="me", id=sent["id"], format="full").execute()
    assert headers_of(copy)["From"] == f"Bright Spark Accounts <{NEW}>"
    assert headers_of(copy)["X-Sendwright-Dispatch"] == "7f3a"
    listing = users.messages().list(userId="me", labelIds=["SENT"]).execute()
    assert [one["id"] for one in listing["messages"]] == [sent["id"]]
    history = users.history().list(
        userId="me", startHistoryId=profile["historyId"], historyTypes=["messageAdded"]
    )
    added = [one["messagesAdded"][0]["message"]["id"] for one in history.execute()["history"]]
    assert sent["id"] in added
    assert len(steering.accepted()) == 1


def test_lists_are_read_to_their_last_page(official: Any) -> None:
    messages = official.users().messages()
    sent = [
        messages.send(userId="me", body={"raw": encoded(letter())}).execute()["id"]
        for _ in range(5)
    ]
    found, asking = [], messages.list(userId="me", labelIds=["SENT"], maxResults=2)
    while asking is not None:
        answer = asking.execute()
        found += [one["id"] for one in answer["messages"]]
        asking = messages.list_next(asking, answer)
    assert found == sent[::-1]


@pytest.mark.parametrize("with_resource", [False, True])
def test_mail_is_uploaded_as_it_is(official: Any, steering: Steering, with_resource: bool) -> None:
    """Without a resource the client uploads bare bytes, with one it makes two parts."""
    media = MediaInMemoryUpload(letter_with_pdf(), mimetype="message/rfc822")
    body = {"message": {}} if with_resource else None
    draft = official.users().drafts().create(userId="me", body=body, media_body=media).execute()
    official.users().drafts().send(userId="me", body={"id": draft["id"]}).execute()
    (accepted,) = steering.ask("accepted?raw=1")
    pdf: Any = message_from_bytes(base64.urlsafe_b64decode(accepted["raw"])).get_payload(1)
    assert pdf.get_payload(decode=True) == b"%PDF-1.7 pretend"


def test_the_client_reads_reasons_out_of_refusals(official: Any) -> None:
    aliases = official.users().settings().sendAs()
    with pytest.raises(HttpError) as refusal:
        aliases.create(userId="me", body={"sendAsEmail": NEW}).execute()
    assert refusal.value.status_code == 403
    assert refusal.value.error_details[0]["reason"] == "ACCESS_TOKEN_SCOPE_INSUFFICIENT"
    with pytest.raises(HttpError) as refusal:
        tom = "tom@brightspark.example"
        aliases.patch(userId="me", sendAsEmail=tom, body={"displayName": "T"}).execute()
    assert "delegated domain-wide authority" in refusal.value.reason


def test_an_expired_token_is_renewed_without_a_word(
    credentials: Credentials, official: Any, steering: Steering
) -> None:
    before = credentials.token
    steering.tell("clock", advance=3_600)
    assert official.users().getProfile(userId="me").execute()["emailAddress"] == OFFICE
    assert credentials.token != before


def test_a_revoked_grant_cannot_be_renewed(
    server: SandboxServer, credentials: Credentials, official: Any
) -> None:
    official.users().getProfile(userId="me").execute()
    told = {"token": credentials.refresh_token}
    assert requests.post(f"{server.url}/revoke", data=told, timeout=5).status_code == 200
    with pytest.raises(RefreshError, match=r"invalid_grant: Token has been expired or revoked\."):
        official.users().getProfile(userId="me").execute()
    with pytest.raises(RefreshError, match="invalid_grant"):
        credentials.refresh(google.auth.transport.requests.Request())


def test_a_box_left_unticked_shows_in_what_was_granted(
    server: SandboxServer, flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Google's helper takes a smaller grant for an error unless it is told not to.
    monkeypatch.setenv("OAUTHLIB_RELAX_TOKEN_SCOPE", "1")
    visitor = Visitor(server.url)
    visitor.open(flow.authorization_url(access_type="offline")[0])
    visitor.press(OFFICE)
    visitor.press("Go to Sendwright (unsafe)")
    visitor.press("Continue", untick="gmail.compose")
    assert visitor.left_for and visitor.left_for.startswith(CALLBACK)
    flow.fetch_token(code=visitor.returned()["code"])
    missing = set(SCOPES) - set(flow.credentials.granted_scopes)
    assert missing == {"https://www.googleapis.com/auth/gmail.compose"}
    limited = official_client(server.url, flow.credentials)
    assert limited.users().settings().sendAs().list(userId="me").execute()["sendAs"]
    with pytest.raises(HttpError) as refusal:
        body = {"message": {"raw": encoded(letter())}}
        limited.users().drafts().create(userId="me", body=body).execute()
    assert refusal.value.status_code == 403


def test_the_official_client_posts_twice_when_an_answer_is_swallowed(
    official: Any, steering: Steering
) -> None:
    """Why Sendwright does not send with it: one send asked for, two mails left."""
    steering.tell("faults", method="messages.send", kind="swallow", times=1)
    official.users().messages().send(userId="me", body={"raw": encoded(letter())}).execute()
    assert len(steering.accepted()) == 2
