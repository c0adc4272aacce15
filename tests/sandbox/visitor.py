"""Visitor: a person at the local Google's pages, and an app on her behalf, without a browser."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

import requests
from bs4 import BeautifulSoup, Tag

GMAIL = "https://www.googleapis.com/auth/gmail."
FULL = f"openid email profile {GMAIL}compose {GMAIL}settings.basic {GMAIL}metadata"
CALLBACK = "http://127.0.0.1:9/callback"
OFFICE = "office@brightspark.example"


@dataclass
class PageSeen:
    url: str
    soup: BeautifulSoup

    @property
    def title(self) -> str:
        heading = self.soup.h1
        return heading.get_text(" ", strip=True) if heading else ""

    @property
    def text(self) -> str:
        return self.soup.get_text(" ", strip=True)


@dataclass
class Visitor:
    """Presses buttons by their words, as they stand on the page, and keeps to its forms."""

    origin: str
    session: requests.Session = field(default_factory=requests.Session)
    page: PageSeen | None = None
    left_for: str | None = None

    def open(self, path: str, **query: str) -> PageSeen | None:
        return self._go("GET", urljoin(self.origin, path), params=query)

    def press(self, words: str, typed: dict[str, str] | None = None, untick: str = "") -> Any:
        """Presses the button or link that begins with these words."""
        control = self._control(words)
        if control.name == "a":
            return self._go("GET", urljoin(self._page.url, str(control["href"])))
        form = control.find_parent("form")
        assert isinstance(form, Tag), f"{words}: a button without a form"
        data = _fields(form, untick)
        data += (
            [(str(control["name"]), str(control.get("value", "")))] if control.get("name") else []
        )
        data = [pair for pair in data if pair[0] not in (typed or {})] + list((typed or {}).items())
        target = urljoin(self._page.url, str(form.get("action") or self._page.url))
        if str(form.get("method", "get")).lower() == "get":
            return self._go("GET", target, params=data)
        return self._go("POST", target, data=data)

    def returned(self) -> dict[str, str]:
        """The query with which the person came back to the app."""
        assert self.left_for, f"still on {self._page.title!r}: {self._page.text}"
        return dict(parse_qsl(urlsplit(self.left_for).query))

    @property
    def _page(self) -> PageSeen:
        assert self.page is not None
        return self.page

    def _control(self, words: str) -> Tag:
        for control in self._page.soup.find_all(["button", "a"]):
            assert isinstance(control, Tag)
            if words in control.get_text(" ", strip=True):
                return control
        raise AssertionError(f"no button {words!r} on {self._page.title!r}: {self._page.text}")

    def _go(self, verb: str, url: str, **sent: Any) -> PageSeen | None:
        while url.startswith(self.origin):
            answer = self.session.request(verb, url, allow_redirects=False, timeout=5, **sent)
            if not answer.is_redirect:
                self.page = PageSeen(answer.url, BeautifulSoup(answer.text, "html.parser"))
                return self.page
            verb, url, sent = "GET", urljoin(answer.url, answer.headers["Location"]), {}
        self.left_for, self.page = url, None
        return None


def _fields(form: Tag, untick: str) -> list[tuple[str, str]]:
    """What a browser would send: hidden fields, texts, and the boxes that are ticked."""
    data = []
    for box in form.find_all("input"):
        assert isinstance(box, Tag)
        can_be_unticked = box.get("type") in ("checkbox", "radio")
        value = str(box.get("value", ""))
        chosen = box.has_attr("checked") and not (untick and untick in value)
        if box.get("name") and (chosen or not can_be_unticked):
            data.append((str(box["name"]), value))
    return data


@dataclass
class App:
    """The client that signs people in: what the portal is to Google."""

    origin: str
    client_id: str = "local-client-id"
    client_secret: str = "local-client-secret"
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    def ask(self, **changes: str) -> dict[str, str]:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        asked = {
            "client_id": self.client_id,
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": FULL,
            "state": "the-state",
            "nonce": "the-nonce",
            "access_type": "offline",
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            **changes,
        }
        return {name: value for name, value in asked.items() if value}

    def consented(
        self, account: str = OFFICE, *, untick: str = "", **changes: str
    ) -> dict[str, str]:
        """Walks all pages as this person; the query of the redirect back."""
        visitor = Visitor(self.origin)
        visitor.open("/o/oauth2/v2/auth", **self.ask(**changes))
        for words in (account, "Go to Sendwright (unsafe)"):
            if visitor.page and words in visitor.page.text:
                visitor.press(words)
        if visitor.page:
            visitor.press("Continue", untick=untick)
        return visitor.returned()

    def token(self, **data: str) -> requests.Response:
        told = {"client_id": self.client_id, "client_secret": self.client_secret, **data}
        return requests.post(f"{self.origin}/token", data=told, timeout=5)

    def redeem(self, code: str, **changes: str) -> requests.Response:
        told = {"code": code, "redirect_uri": CALLBACK, "code_verifier": self.verifier, **changes}
        return self.token(grant_type="authorization_code", **told)

    def refresh(self, refresh_token: str) -> requests.Response:
        return self.token(grant_type="refresh_token", refresh_token=refresh_token)

    def sign_in(self, account: str = OFFICE, **changes: str) -> dict[str, Any]:
        answer = self.redeem(self.consented(account, **changes)["code"])
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens


@dataclass
class Gmail:
    """Plain HTTP calls to one mailbox, with nothing tried twice."""

    origin: str
    token: str
    session: requests.Session = field(default_factory=requests.Session)

    def call(self, verb: str, path: str, **sent: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}", **sent.pop("headers", {})}
        root = sent.pop("root", "/gmail/v1/users/me")
        return self.session.request(
            verb, f"{self.origin}{root}{path}", headers=headers, timeout=10, **sent
        )

    def get(self, path: str, **params: Any) -> Any:
        answer = self.call("GET", path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, **body: Any) -> Any:
        answer = self.call("POST", path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def draft(self, raw: bytes) -> str:
        return str(self.post("/drafts", message={"raw": encoded(raw)})["id"])

    def send(self, raw: bytes) -> dict[str, Any]:
        sent: dict[str, Any] = self.post("/messages/send", raw=encoded(raw))
        return sent

    def has_draft(self, draft_id: str) -> bool:
        return self.call("GET", f"/drafts/{draft_id}").status_code == 200

    def headers(self, message_id: str) -> dict[str, str]:
        payload = self.get(f"/messages/{message_id}", format="metadata")["payload"]
        return {one["name"]: one["value"] for one in payload["headers"]}


@dataclass
class Steering:
    origin: str

    def tell(self, path: str, **told: Any) -> Any:
        answer = requests.post(f"{self.origin}/_sandbox/{path}", json=told, timeout=5)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ask(self, path: str) -> Any:
        return requests.get(f"{self.origin}/_sandbox/{path}", timeout=5).json()

    def gmail(self, email: str = OFFICE, scopes: str = FULL) -> Gmail:
        return Gmail(self.origin, self.tell("tokens", email=email, scopes=scopes)["access_token"])

    def accepted(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("accepted")
        return found


def letter(
    to: str = "mary.lee@homes.example", sender: str = OFFICE, body: str = "Here is your invoice.",
    **headers: str,
) -> bytes:  # fmt: skip
    mail = EmailMessage()
    mail["From"], mail["Subject"] = sender, "INV-0042"
    if to:
        mail["To"] = to
    for name, value in headers.items():
        mail[name.replace("_", "-")] = value
    mail.set_content(body)
    return mail.as_bytes()


def letter_with_pdf() -> bytes:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = OFFICE, "mary.lee@homes.example", "INV-0042 – due"
    mail["X-Sendwright-Dispatch"] = "7f3a"
    mail.set_content("Here is your invoice, $1,240.00.")
    mail.add_alternative("<p>Here is your <b>invoice</b>.</p><script>1</script>", subtype="html")
    mail.add_attachment(
        b"%PDF-1.7 pretend", maintype="application", subtype="pdf", filename="INV-0042 – Lee.pdf"
    )
    return mail.as_bytes()


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode()
