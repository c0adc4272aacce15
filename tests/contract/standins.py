"""Stand-ins: each kind of mailbox with the local server that stands in for its provider.

What happens is named alike for all; each stand-in says how it comes about there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import pytest
import requests

from portal.envelope import Mailable, seal
from portal.hosts import entries
from portal.providers import Gmail, Graph, Provider, Smtp, gmail, graph
from portal.providers.submission import Secret, Security, Server, Terms
from tests.office365 import Microsoft

if TYPE_CHECKING:
    from portal.sandbox.post import Post

OFFICE, MARY = "office@brightspark.example", "mary.lee@homes.example"
#: Seconds that a call may take.
PATIENCE = 2.0


def letter(token: str = "token1", sender: str = OFFICE, subject: str = "Invoice INV-0042") -> bytes:
    """A frozen message."""
    return seal(
        token=token,
        message_id=f"<{token}@portal.example>",
        sender=Mailable(sender, "Bright Spark"),
        to=[Mailable(MARY, "Mary Lee")],
        cc=[],
        subject=subject,
        text="Hello Mary",
        html="<p>Hello Mary</p>",
        attachments=[],
    ).mime


class StandIn(Protocol):
    """One kind of mailbox. happens: how each mishap is brought about at a hand-over."""

    happens: dict[str, Any]

    def mailbox(self) -> Provider:
        """A mailbox with every permission."""
        ...

    def let(self, what: str) -> None:
        """Let a mishap happen at the next hand-over."""
        ...

    def accepted(self) -> int:
        """The judge: how many messages were taken to be sent."""
        ...


class LocalGmail:
    happens: dict[str, Any] = {
        "refused": {"kind": "refuse", "reason": "invalidArgument", "message": "Invalid To header"},
        "too fast": {"kind": "429"},
        "signed out": {"kind": "401", "times": 2},
        "own error after": {"kind": "500-after"},
        "own error before": {"kind": "500-before"},
        "answer lost": {"kind": "swallow"},
        "garbage": {"kind": "garbage"},
        "cut before": {"kind": "cut-before"},
    }

    def __init__(self, url: str) -> None:
        self.url = url
        asked = {"email": OFFICE, "scopes": " ".join(gmail.FULL_SCOPES)}
        self.token = str(self._post("tokens", asked)["access_token"])

    def mailbox(self) -> Provider:
        return Gmail(self.url, set(gmail.FULL_SCOPES), lambda refused: self.token, PATIENCE)

    def let(self, what: str) -> None:
        self._post("faults", {"method": "drafts.send", **self.happens[what]})

    def accepted(self) -> int:
        return len(requests.get(f"{self.url}/_sandbox/accepted", timeout=5).json())

    def _post(self, what: str, given: dict[str, Any]) -> Any:
        answer = requests.post(f"{self.url}/_sandbox/{what}", json=given, timeout=5)
        assert answer.ok, answer.text
        return answer.json()


class LocalMicrosoft:
    happens: dict[str, Any] = {
        "refused": {"kind": "refuse"},
        "too fast": {
            "kind": "refuse",
            "code": 429,
            "reason": "ApplicationThrottled",
            "message": "Application is over its RequestCount limit.",
        },
        "signed out": {"kind": "401", "times": 2},
        "not allowed": {"kind": "send-as-denied"},
        "own error after": {"kind": "504-after"},
        "own error before": {"kind": "504-before"},
        "answer lost": {"kind": "swallow"},
        "garbage": {"kind": "garbage"},
        "cut before": {"kind": "cut-before"},
    }

    def __init__(self, url: str) -> None:
        self.microsoft = Microsoft(url)
        self.microsoft.steer(send_delay=0.0)
        self.token = self.microsoft.grant()["access_token"]

    def mailbox(self) -> Provider:
        scopes = set(graph.FULL_SCOPES)
        return Graph(self.microsoft.url, scopes, lambda refused: self.token, PATIENCE, settles=0)

    def let(self, what: str) -> None:
        self.microsoft.fault("messages.send", **self.happens[what])

    def accepted(self) -> int:
        return len(self.microsoft.accepted())


class LocalPost:
    happens: dict[str, Any] = {
        "refused": (".", "554 5.7.1 looks like spam"),
        "too fast": ("MAIL", "451 4.7.1 rate limit, slow down"),
        "signed out": ("AUTH", "535 5.7.8 wrong"),
        "not allowed": ("MAIL", "553 5.7.1 sender not yours"),
        "answer lost": (".", ""),
        "garbage": (".", "what is this"),
    }

    def __init__(self, post: Post) -> None:
        self.post = post

    def mailbox(self) -> Provider:
        server = Server("127.0.0.1", self.post.tls_port, Security.TLS, OFFICE)
        terms = Terms(entries(f"127.0.0.1:{self.post.tls_port}"), entries(""), self.post.authority)
        return Smtp(server, lambda: Secret("the office's password", ""), terms, PATIENCE)

    def let(self, what: str) -> None:
        moment, reply = self.happens[what]
        lost = what in ("answer lost", "garbage")
        self.post.desk.spoil(moment, reply, accepts=lost, times=1)

    def accepted(self) -> int:
        return len(self.post.desk.accepted)


def stand_in(kind: str, request: pytest.FixtureRequest) -> StandIn:
    """The stand-in of a kind, as new."""
    if kind == "gmail":
        return LocalGmail(request.getfixturevalue("local_google").url)
    if kind == "microsoft":
        return LocalMicrosoft(request.getfixturevalue("local_microsoft").url)
    return LocalPost(request.getfixturevalue("post"))
