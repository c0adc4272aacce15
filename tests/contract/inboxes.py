"""Inboxes: how mail comes in at each kind of mailbox, and what goes wrong when it is read.

What happens is named alike for all; each inbox says how it comes about there.
"""

from __future__ import annotations

import base64
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import pytest
import requests

from portal.hosts import entries
from portal.providers import Gmail, Graph, Provider, Smtp, gmail, graph, imap
from portal.providers.imap import Inbox
from portal.providers.provider import Access
from portal.providers.submission import Secret, Security, Server, Terms
from tests.contract.standins import OFFICE, PATIENCE
from tests.office365 import Microsoft

if TYPE_CHECKING:
    from portal.sandbox.letterbox import Letterbox

LOOK, FETCH = "look", "fetch"
PASSWORD = "the office's password"


class Inboxes(Protocol):
    """One kind of mailbox. grants: what may be granted there; happens: its mishaps."""

    grants: tuple[Access, ...]
    happens: dict[str, Any]

    def mailbox(self, access: Access = Access.WHOLE) -> Provider: ...

    def arrive(self, *letters: bytes, at: datetime | None = None) -> None:
        """Letters come in, now unless told."""
        ...

    def delete(self, message_id: str) -> None:
        """As its owner would, for good."""
        ...

    def turn_away(self, email: str) -> None:
        """Mail to this address comes back from now on."""
        ...

    def forget(self) -> None:
        """Something arrives, and no mark so far means anything any more."""
        ...

    def let(self, what: str, call: str) -> None:
        """Let a mishap happen when it is looked for mail, or a message fetched."""
        ...


class GmailInboxes:
    grants: tuple[Access, ...] = (Access.NONE, Access.HEADERS, Access.WHOLE)
    happens: dict[str, Any] = {
        "signed out": {"kind": "401", "times": 2},
        "not granted": {
            "kind": "refuse",
            "code": 403,
            "reason": "insufficientPermissions",
            "message": "Insufficient Permission",
        },
        "too fast": {"kind": "429"},
        "own error": {"kind": "503-before"},
        "garbage": {"kind": "garbage"},
        "cut": {"kind": "cut-before"},
        "half an answer": {"kind": "half-answer"},
    }
    scopes = {
        Access.NONE: gmail.SEND_ONLY_SCOPES,
        Access.HEADERS: gmail.FULL_SCOPES,
        Access.WHOLE: gmail.WHOLE_SCOPES,
    }
    calls = {LOOK: "history.list", FETCH: "messages.get"}

    def __init__(self, url: str) -> None:
        self.url = url
        self._tell("settings", units_per_minute=0)

    def mailbox(self, access: Access = Access.WHOLE) -> Provider:
        scopes = self.scopes[access]
        minted = self._tell("tokens", email=OFFICE, scopes=" ".join(scopes))
        token, web = str(minted["access_token"]), f"{self.url}/mail/u/{OFFICE}"
        return Gmail(self.url, set(scopes), lambda refused: token, PATIENCE, web=web)

    def arrive(self, *letters: bytes, at: datetime | None = None) -> None:
        self._tell("deliver", account=OFFICE, mails=mails(letters, at))

    def delete(self, message_id: str) -> None:
        told = {"account": OFFICE}
        url = f"{self.url}/_sandbox/messages/{message_id}"
        assert requests.delete(url, json=told, timeout=5).ok

    def turn_away(self, email: str) -> None:
        self._tell("undeliverable", email=email, status="5.1.1")

    def forget(self) -> None:
        self.arrive(b"Subject: Missed\r\n\r\n")
        self._tell("history", account=OFFICE)

    def let(self, what: str, call: str) -> None:
        self._tell("faults", method=self.calls[call], **self.happens[what])

    def _tell(self, what: str, **given: Any) -> Any:
        answer = requests.post(f"{self.url}/_sandbox/{what}", json=given, timeout=30)
        assert answer.ok, answer.text
        return answer.json()


class MicrosoftInboxes:
    grants: tuple[Access, ...] = GmailInboxes.grants
    happens: dict[str, Any] = {
        "signed out": {"kind": "401", "times": 2},
        "not granted": {"kind": "access-denied"},
        "too fast": {"kind": "429"},
        "own error": {"kind": "504-before"},
        "garbage": {"kind": "garbage"},
        "cut": {"kind": "cut-before"},
        "half an answer": {"kind": "half-answer"},
    }
    scopes = {
        Access.NONE: (*graph.SIGN_IN_SCOPES, "User.Read", graph.SEND_MAIL),
        Access.HEADERS: (*graph.SIGN_IN_SCOPES, "User.Read", graph.SEND_MAIL, "Mail.ReadBasic"),
        Access.WHOLE: graph.FULL_SCOPES,
    }
    calls = {LOOK: "messages.delta", FETCH: "messages.get"}

    def __init__(self, url: str) -> None:
        self.microsoft = Microsoft(url)
        self.microsoft.steer(send_delay=0.0)

    def mailbox(self, access: Access = Access.WHOLE) -> Provider:
        scopes = self.scopes[access]
        token = str(self.microsoft.grant(scopes=scopes)["access_token"])
        return Graph(self.microsoft.url, set(scopes), lambda refused: token, PATIENCE, settles=0)

    def arrive(self, *letters: bytes, at: datetime | None = None) -> None:
        self.microsoft.tell("deliver", account=OFFICE, mails=mails(letters, at))

    def delete(self, message_id: str) -> None:
        url = f"{self.microsoft.url}/_sandbox/messages/{message_id}"
        assert requests.delete(url, timeout=5).ok

    def turn_away(self, email: str) -> None:
        self.microsoft.tell("undeliverable", email=email, status="5.1.1")

    def forget(self) -> None:
        self.arrive(b"Subject: Missed\r\n\r\n")
        self.microsoft.tell("delta", account=OFFICE)

    def let(self, what: str, call: str) -> None:
        self.microsoft.fault(self.calls[call], **self.happens[what])


class ServerInboxes:
    grants: tuple[Access, ...] = (Access.NONE, Access.WHOLE)
    happens: dict[str, Any] = {
        "not granted": ("AUTHENTICATE", "NO [AUTHENTICATIONFAILED] no"),
        "too fast": ("", "NO [LIMIT] too fast"),
        "own error": ("", "NO [UNAVAILABLE] later"),
        "garbage": ("CONNECT", "what is this"),
        "cut": ("", ""),
    }
    calls = {LOOK: "SEARCH", FETCH: "FETCH"}

    def __init__(self, letterbox: Letterbox) -> None:
        self.letterbox = letterbox

    def mailbox(self, access: Access = Access.WHOLE) -> Provider:
        port = self.letterbox.tls_port
        server = Server("127.0.0.1", port, Security.TLS, OFFICE)
        terms = Terms(entries(f"127.0.0.1:{port}"), (), self.letterbox.authority)
        secret = Secret(PASSWORD)
        inbox = Inbox(server, lambda: secret, terms, PATIENCE)
        used = inbox if access is Access.WHOLE else None
        return Smtp(server, lambda: secret, terms, PATIENCE, used)

    def arrive(self, *letters: bytes, at: datetime | None = None) -> None:
        moment = at.timestamp() if at else None
        self.letterbox.boxes.deliver(OFFICE, *letters, at=moment)

    def delete(self, message_id: str) -> None:
        self.letterbox.boxes.delete(OFFICE, int(message_id.partition(".")[2]))

    def turn_away(self, email: str) -> None:
        """Nothing is sent through this one: it only receives."""

    def forget(self) -> None:
        self.arrive(b"Subject: Missed\r\n\r\n")
        self.letterbox.boxes.renumber(OFFICE)

    def let(self, what: str, call: str) -> None:
        moment, reply = self.happens[what]
        imap.forget_connections()  # a kept one has its log-in behind it
        self.letterbox.boxes.spoil(moment or self.calls[call], reply, times=-1)


def mails(letters: tuple[bytes, ...], at: datetime | None) -> list[dict[str, Any]]:
    moment = {"at": at.timestamp()} if at else {}
    return [{"raw": base64.urlsafe_b64encode(one).decode(), **moment} for one in letters]


def inboxes(kind: str, request: pytest.FixtureRequest) -> Inboxes:
    """The inboxes of a kind, as new."""
    if kind == "gmail":
        return GmailInboxes(request.getfixturevalue("local_google").url)
    if kind == "microsoft":
        return MicrosoftInboxes(request.getfixturevalue("local_microsoft").url)
    return ServerInboxes(request.getfixturevalue("letterbox"))
