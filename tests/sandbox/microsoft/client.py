"""Graph and the sign-in of a local Microsoft, called as an app calls them, nothing tried twice."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Any

import requests

from tests.sandbox.visitor import Steering, Visitor

CALLBACK = "http://127.0.0.1:9/callback"
OFFICE = "office@brightspark.example"
OLIVE = "olive@brightspark.example"
TOM = "tom@brightspark.example"
NIA = "nia@brightspark.example"
ACCOUNTS = "accounts@brightspark.example"
MARY = "mary.lee@homes.example"
ORDERS = "orders@copperco.example"
FULL = "openid profile email offline_access User.Read Mail.ReadWrite Mail.Send"
SHARED = f"{FULL} Mail.ReadWrite.Shared Mail.Send.Shared"
CLIENT_ID = "10ca1000-0000-4000-8000-000000000001"


@dataclass
class SignIn:
    """The client that signs people in: what the portal is to Microsoft."""

    origin: str
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    def ask(self, **changes: str) -> dict[str, str]:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        asked = {
            "client_id": CLIENT_ID,
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": FULL,
            "state": "the-state",
            "nonce": "the-nonce",
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            **changes,
        }
        return {name: value for name, value in asked.items() if value}

    def consented(
        self, account: str = OFFICE, *, tenant: str = "organizations", **changes: str
    ) -> dict[str, str]:
        """Walks all pages as this person; the query of the redirect back."""
        visitor = Visitor(self.origin)
        visitor.open(f"/{tenant}/oauth2/v2.0/authorize", **self.ask(**changes))
        if visitor.page and visitor.page.title == "Pick an account":
            visitor.press(account)
        if visitor.page:
            visitor.press("Accept")
        return visitor.returned()

    def token(self, *, tenant: str = "organizations", **data: str) -> requests.Response:
        told = {"client_id": CLIENT_ID, "client_secret": "local-microsoft-secret", **data}
        return requests.post(f"{self.origin}/{tenant}/oauth2/v2.0/token", data=told, timeout=5)

    def redeem(self, code: str, **changes: str) -> requests.Response:
        told = {"code": code, "redirect_uri": CALLBACK, "code_verifier": self.verifier, **changes}
        return self.token(grant_type="authorization_code", **told)

    def refresh(self, refresh_token: str, **changes: str) -> requests.Response:
        return self.token(grant_type="refresh_token", refresh_token=refresh_token, **changes)

    def sign_in(self, account: str = OFFICE, **changes: str) -> dict[str, Any]:
        answer = self.redeem(self.consented(account, **changes)["code"])
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens


@dataclass
class Graph:
    """Plain HTTP calls to one mailbox, in immutable ids unless told otherwise."""

    origin: str
    token: str
    user: str = "me"
    session: requests.Session = field(default_factory=requests.Session)

    def call(self, verb: str, path: str, *, immutable: bool = True, **sent: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.token}", **sent.pop("headers", {})}
        if immutable:
            headers["Prefer"] = 'IdType="ImmutableId"'
        url = path if path.startswith("http") else f"{self.origin}/v1.0/{self.user}{path}"
        return self.session.request(verb, url, headers=headers, timeout=10, **sent)

    def get(self, path: str, **params: Any) -> Any:
        answer = self.call("GET", path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def draft(self, raw: bytes, **more: Any) -> dict[str, Any]:
        answer = self.mime("/messages", raw, **more)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def mime(self, path: str, raw: bytes, **more: Any) -> requests.Response:
        headers = {"Content-Type": "text/plain"}
        answer: requests.Response = self.call(
            "POST", path, data=base64.b64encode(raw), headers=headers, **more
        )
        return answer

    def send(self, message_id: str) -> requests.Response:
        answer: requests.Response = self.call("POST", f"/messages/{message_id}/send")
        return answer

    def sent(self, raw: bytes) -> str:
        """Drafted and sent: its immutable id."""
        made = self.draft(raw)["id"]
        answer = self.send(made)
        assert answer.status_code == 202, answer.text
        return str(made)


@dataclass
class Microsoft(Steering):
    """What tests tell the local Microsoft beside Graph."""

    def graph(self, email: str = OFFICE, scopes: str = FULL, mailbox: str = "") -> Graph:
        token = self.tell("tokens", email=email, scopes=scopes)["access_token"]
        return Graph(self.origin, token, f"users/{mailbox}" if mailbox else "me")


def refused(answer: requests.Response, status: int, code: str) -> str:
    """The message of a refusal of Graph's, once its status and code are as told."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["code"] == code, answer.text
    assert set(error["innerError"]) == {"date", "request-id", "client-request-id"}
    return str(error["message"])


def sts_refused(answer: requests.Response, status: int, error: str, number: int) -> dict[str, Any]:
    """The body of a refusal of the sign-in's, once it is as told."""
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["error"], body["error_codes"]) == (status, error, [number])
    assert body["error_description"].startswith(f"AADSTS{number}: ")
    return body
