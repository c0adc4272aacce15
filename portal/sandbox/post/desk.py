"""Desk: what the local mail server knows: accounts, what it accepted, what it is to do wrong."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default
from pathlib import Path

#: The moments at which something can go wrong; "." is the end of the message.
MOMENTS = ("CONNECT", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", ".", "RSET")


@dataclass
class Account:
    """Who may log in, and from which addresses they may send."""

    user: str
    password: str
    senders: tuple[str, ...] = ()
    token: str = ""

    def may_send_as(self, address: str) -> bool:
        return address.lower() in {self.user.lower(), *(one.lower() for one in self.senders)}


@dataclass(frozen=True)
class Accepted:
    """One message for which the server answered for. user: who had logged in; nobody: ""."""

    number: int
    user: str
    sender: str
    recipients: tuple[str, ...]
    raw: bytes
    at: float = field(default_factory=time.time)

    def header(self, name: str) -> str:
        return str(message_from_bytes(self.raw, policy=default).get(name, ""))


@dataclass
class Mishap:
    """One way in which a command goes wrong.

    reply: what is answered in place of the usual; nothing: the connection is cut. accepts: at the
    end of a message, whether it was taken all the same. about: only for the recipient whose address
    holds this. delay: so many seconds before anything else. times: how often; -1 for always.
    """

    moment: str
    reply: str = ""
    times: int = 1
    accepts: bool = False
    about: str = ""
    delay: float = 0.0
    usual: bool = False  # after the delay, all goes as usual


class Desk:
    """Shared by all connections; each test or try-out has one.

    everybodys: the password of every address that has no account of its own; none without it.
    kept_in: the folder where accepted messages are left for people to open.
    """

    def __init__(self, everybodys: str = "", kept_in: Path | None = None) -> None:
        self._everybodys, self._kept_in = everybodys, kept_in
        self._lock = threading.Lock()
        self._accepted: list[Accepted] = []
        self._mishaps: list[Mishap] = []
        self._accounts: dict[str, Account] = {}
        self.log_ins = 0
        self.connections = 0

    # -- accounts --------------------------------------------------------------------------------

    def add(self, user: str, password: str, senders: tuple[str, ...] = (), token: str = "") -> None:
        self._accounts[user.lower()] = Account(user, password, senders, token)

    def account(self, user: str) -> Account | None:
        found = self._accounts.get(user.lower())
        if found is None and user and self._everybodys:
            return Account(user, self._everybodys)
        return found

    def lets_in(self, user: str, password: str) -> bool:
        found = self.account(user)
        return found is not None and bool(password) and found.password == password

    def lets_in_by_token(self, user: str, token: str) -> bool:
        found = self.account(user)
        return found is not None and bool(token) and found.token == token

    # -- the judge -------------------------------------------------------------------------------

    @property
    def accepted(self) -> list[Accepted]:
        """Every message that was accepted, oldest first."""
        with self._lock:
            return list(self._accepted)

    def accept(self, user: str, sender: str, recipients: list[str], raw: bytes) -> Accepted:
        with self._lock:
            number = len(self._accepted) + 1
            made = Accepted(number, user, sender, tuple(recipients), raw)
            self._accepted.append(made)
        if self._kept_in is not None:
            name = f"{made.at:.3f}-{number:04d}.eml"
            (self._kept_in / name).write_bytes(raw)
        return made

    # -- what goes wrong -------------------------------------------------------------------------

    def spoil(self, moment: str, reply: str = "", **more: float | str | bool) -> None:
        """Let something go wrong, once unless told otherwise; see Mishap."""
        if moment not in MOMENTS:
            raise ValueError(f"{moment!r}: one of {', '.join(MOMENTS)}")
        with self._lock:
            self._mishaps.append(Mishap(moment, reply, **more))  # type: ignore[arg-type]

    def mishap(self, moment: str, about: str = "") -> Mishap | None:
        with self._lock:
            for one in self._mishaps:
                if one.moment == moment and one.times and one.about in about:
                    one.times -= 1
                    return one
        return None

    def clear(self) -> None:
        """As on the first day: no accounts, no mail, nothing that goes wrong."""
        with self._lock:
            self._mishaps.clear()
            self._accepted.clear()
            self._accounts.clear()
            self.log_ins = self.connections = 0
