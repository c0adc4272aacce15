"""Carriers: who carries the mail in a run: a local Gmail, Microsoft 365 or mail server.

Each is a process of its own, beside whose own API it is told what to do wrong and asked what it
accepted: its list is the judge.
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import requests

from portal import mailboxes
from portal.children import Child
from portal.envelope import DISPATCH_HEADER
from portal.mailboxes import Mailbox
from portal.providers.signing import Account
from portal.providers.submission import Security, Server
from tests import factories, office365, servers
from tests.faults.cells import BY_DRAFT, Cell

#: Seconds that a call takes where there has to be a middle to be in.
UNHURRIED = 0.15


@dataclass(frozen=True)
class Failure:
    """How a carrier is told to fail. calls: at one of these; else at whichever comes next."""

    kind: str
    calls: tuple[str, ...] = ()
    more: Mapping[str, object] = field(default_factory=dict)


def _kinds(*names: str) -> tuple[Failure, ...]:
    return tuple(Failure(one) for one in names)


class Carrier:
    """One stand-in, and how a run speaks of it.

    two_phase: it keeps drafts and shows sent copies, so nobody has to be asked. never: failpoints
    that its route does not come to. failures: what each fault of cells.PROVIDER is here, one of
    several by chance. next_call: which call comes next, by the point reached; else any. rest: no
    pause of a mailbox lasts longer (seconds) in a run; None: as long as the portal says. shared:
    each mailbox says itself where its server is, so that all hosts are at the end of one cable.
    lease: seconds; five provider time-outs fit into it, as the settings ask.
    """

    title: ClassVar[str]
    module: ClassVar[str]
    two_phase: ClassVar[bool] = True
    never: ClassVar[frozenset[str]] = frozenset()
    failures: ClassVar[dict[str, tuple[Failure, ...]]]
    next_call: ClassVar[dict[str, tuple[str, ...]]] = {}
    unhurried: ClassVar[str] = "*"
    rest: ClassVar[float | None] = None
    shared: ClassVar[bool] = False
    lease: ClassVar[float] = 3.0

    def __init__(self, home: Path) -> None:
        self._home = home
        with servers.listening_socket() as (_, port):
            self.web_port = port
        self.port = self.web_port
        self.url = f"http://127.0.0.1:{self.web_port}"
        environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        environ["PYTHONPATH"] = str(servers.ROOT)
        command = [sys.executable, "-m", self.module, *self._arguments()]
        self.child = Child(self.title, command, environ, home / "carrier.log")
        servers.wait_for(self._answers, self.child)

    def _arguments(self) -> tuple[str, ...]:
        return ("--port", str(self.web_port))

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/_sandbox/state", timeout=2).ok
        except requests.RequestException:
            return False

    def end(self) -> None:
        self.child.end_what_is_left()

    # -- the portal's side -----

    @property
    def pace(self) -> dict[str, str]:
        return {"PROVIDER_TIMEOUT": str(self.lease / 5), "LEASE_SECONDS": str(self.lease)}

    @property
    def standstill(self) -> float:
        """Seconds for which a process stands still: longer than its lease, and where a person
        decides, until they have: it must not hand over what they had sent again."""
        return self.lease + 1 if self.two_phase else 2 * self.lease + 2

    @property
    def settings(self) -> dict[str, str]:
        """What points a portal here, where only tests of the pace wait for it."""
        raise NotImplementedError

    def through(self, port: int) -> dict[str, str]:
        """What points one host here by a way of its own: a port of this machine."""
        raise NotImplementedError

    def add(self, email: str) -> None:
        """Give somebody an account."""
        self.tell("accounts", email=email)

    def sign_in(self, email: str) -> Mailbox:
        """Connect a mailbox, or sign in to it again."""
        raise NotImplementedError

    # -- what goes wrong -----

    def befall(self, cell: Cell, account: str | None, chance: random.Random) -> None:
        """Let a fault of cells.PROVIDER meet the next call of an account, or anybody's."""
        failure = chance.choice(self.failures[cell.fault])
        call = chance.choice(failure.calls or self.next_call.get(cell.point, ("*",)))
        self.fails(failure.kind, call, account, **failure.more)

    def fails(self, kind: str, method: str, account: str | None, **more: object) -> None:
        """One call of this account goes wrong: the next one of this method."""
        self.tell("faults", kind=kind, method=method, account=account, times=1, **more)

    def make_unclear(self, account: str | None, chance: random.Random) -> None:
        """The next message of an account goes the way of all things, or stays: nobody answers."""
        kind = chance.choice(("swallow", "swallow-before"))
        self.fails(kind, self.next_call["handover.committed"][0], account)

    def revoke(self, email: str) -> None:
        """Its owner takes back what they granted."""
        self.tell("revoke", email=email)

    def take_time(self) -> None:
        self.tell("faults", kind="slow-answer", method=self.unhurried, delay=UNHURRIED, times=None)

    def tell(self, what: str, **words: object) -> Any:
        answer = requests.post(f"{self.url}/_sandbox/{what}", json=words, timeout=10)
        answer.raise_for_status()
        return answer.json()

    # -- the judge -----

    def count(self) -> int:
        """How many messages it has accepted."""
        state: dict[str, int] = requests.get(f"{self.url}/_sandbox/state", timeout=30).json()
        return state["accepted"]

    def accepted(self) -> Counter[str]:
        """How often it accepted each dispatch, by its token."""
        listed = requests.get(f"{self.url}/_sandbox/accepted", timeout=120).json()
        return Counter(str(one["headers"][DISPATCH_HEADER]) for one in listed)


def _by_draft(create: str, send: str, read: str) -> dict[str, tuple[str, ...]]:
    """Which call comes after each point where there are drafts."""
    making = ("claim.written", "claim.committed", "address.confirmed")
    sending = ("draft.made", "handover.written", "handover.committed", "settle.looked")
    reading = ("send.answered", "result.written", "result.committed")
    return {
        **dict.fromkeys(making, (create, send)),
        **dict.fromkeys(sending, (send,)),
        **dict.fromkeys(reading, (read,)),
    }


class Gmail(Carrier):
    """Drafts are the commit token, a sent copy bears the dispatch header."""

    title, module = "Gmail", "portal.sandbox"
    failures: ClassVar = {
        "no answer": _kinds("swallow"),
        "cut": _kinds("cut-before", "cut-after"),
        "5xx before": _kinds("500-before", "503-before"),
        "5xx after": _kinds("500-after", "503-after"),
        "429": _kinds("429", "concurrent"),
        "expired": _kinds("401"),
    }
    next_call = _by_draft("drafts.create", "drafts.send", "messages.get")
    unhurried = "drafts.*"

    def _arguments(self) -> tuple[str, ...]:
        limits = ("--units-per-minute", "0", "--workspace-daily", "0", "--consumer-daily", "0")
        return (*super()._arguments(), *limits)

    @property
    def settings(self) -> dict[str, str]:
        return {
            "GMAIL_UNITS_PER_MINUTE": "1000000",
            "GMAIL_DAILY_WORKSPACE": "100000",
            "GMAIL_DAILY_CONSUMER": "100000",
            **servers.pointed_at(self.url),
        }

    def through(self, port: int) -> dict[str, str]:
        return {"GMAIL_API_URL": f"http://127.0.0.1:{port}"}

    def sign_in(self, email: str) -> Mailbox:
        return factories.connected(self.url, email)


class Microsoft(Carrier):
    """Drafts with immutable ids; what was taken leaves a moment later."""

    title, module = "Microsoft 365", "portal.sandbox.microsoft"
    # Graph names the seconds after which to come again; here they are few.
    _soon: ClassVar = {"delay": 1}
    failures: ClassVar = {
        "no answer": _kinds("swallow"),
        "cut": _kinds("cut-before", "cut-after"),
        "5xx before": (
            *_kinds("500-before", "504-before"),
            Failure("503-before", (), _soon),
        ),
        "5xx after": (*_kinds("500-after", "504-after"), Failure("503-after", (), _soon)),
        "429": (*_kinds("concurrent"), Failure("429", (), _soon)),
        "expired": _kinds("401"),
    }
    next_call = _by_draft("messages.create", "messages.send", "messages.get")
    unhurried = "messages.*"
    #: Seconds from 202 to the mail's leaving, and for which the portal believes no look.
    leaves_after, settles = 0.3, 1.0

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        limits = ("requests_per_ten_minutes", "recipients_per_day", "upload_bytes_per_five_minutes")
        self.tell("settings", send_delay=self.leaves_after, **dict.fromkeys(limits, 0))

    def _arguments(self) -> tuple[str, ...]:
        return (*super()._arguments(), "--messages-per-minute", "0")

    @property
    def settings(self) -> dict[str, str]:
        return {
            **servers.pointed_at_microsoft(self.url),
            "MICROSOFT_SETTLES": str(self.settles),
            "MICROSOFT_MESSAGES_PER_MINUTE": "10000",
            "MICROSOFT_DAILY": "1000000",
        }

    def through(self, port: int) -> dict[str, str]:
        return {"GRAPH_URL": f"http://127.0.0.1:{port}"}

    def sign_in(self, email: str) -> Mailbox:
        return office365.connected(office365.Microsoft(self.url), email)


class MailServer(Carrier):
    """Any provider's server, by SMTP: one step, no draft, no sent copy; a person is asked.

    A column that speaks of HTTP means its like: 5xx before is a 451 anywhere before the message was
    taken; 5xx after is a message that was taken and no reply of SMTP's; expired is a log-in that is
    refused once; revoked is another password. A server that takes a message and refuses it with a
    5yz says what is not true, and no client can tell.
    """

    title, module = "Mail server", "portal.sandbox.post"
    two_phase, shared, rest, lease = False, True, 2.0, 4.0
    never = frozenset(BY_DRAFT)
    password = "bright-spark-mail"
    _silence: ClassVar = {"hang": 3.0}
    _before_the_end = ("MAIL", "RCPT", "DATA", ".")
    failures: ClassVar = {
        "no answer": (
            Failure("swallow", (".",), _silence),
            Failure("swallow-before", (".",), _silence),
        ),
        "cut": (Failure("cut-before", _before_the_end), Failure("cut-after", (".",))),
        "5xx before": (Failure("later", _before_the_end),),
        "5xx after": (Failure("cut-after", (".",)), Failure("garbage", (".",))),
        "429": (Failure("too-many", _before_the_end), Failure("closing", _before_the_end)),
        "expired": (Failure("log-in-refused", ("AUTH",)), Failure("logged-out", ("MAIL",))),
    }
    unhurried = "."

    def __init__(self, home: Path) -> None:
        with servers.listening_socket() as (_, port):
            self.smtp_port = port
        self.passwords: dict[str, str] = {}
        super().__init__(home)
        self.port = self.reached_at = self.smtp_port

    def _arguments(self) -> tuple[str, ...]:
        ports = ("--port", str(self.smtp_port), "--web-port", str(self.web_port))
        return (*ports, "--folder", str(self._home / "post"), "--password", self.password)

    @property
    def settings(self) -> dict[str, str]:
        return {
            "SMTP_ALLOWED_HOSTS": f"127.0.0.1:{self.reached_at}",
            "SMTP_CA_FILE": str(self._home / "post" / "authority.pem"),
            "SMTP_MESSAGES_PER_MINUTE": "10000",
            "SMTP_DAILY": "1000000",
        }

    def through(self, port: int) -> dict[str, str]:
        """All hosts go by one way: whoever signs in from now on names this port."""
        self.reached_at = port
        return {}

    def add(self, email: str) -> None:
        """Everybody has one."""

    def sign_in(self, email: str) -> Mailbox:
        server = Server("127.0.0.1", self.reached_at, Security.TLS, email)
        account = Account(email, email, "Bright Spark Plumbing", "")
        password = self.passwords.get(email, self.password)
        return mailboxes.connect_server(account, server, password, owner=None)

    def fails(self, kind: str, method: str, account: str | None, **more: object) -> None:
        super().fails(kind, method, account, **more)
        if method == "AUTH":  # or nobody would log in anew
            self.tell("cut", email=account or "")

    def revoke(self, email: str) -> None:
        self.passwords[email] = self.tell("revoke", email=email)["password"]


#: By the name that FAULTS_PROVIDER gives.
CARRIERS: dict[str, type[Carrier]] = {
    "google": Gmail,
    "microsoft": Microsoft,
    "smtp": MailServer,
}
