"""Desk: what the local mail server knows: accounts, what it accepted, what it is to do wrong."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default
from email.utils import getaddresses
from pathlib import Path
from typing import Protocol

from portal.sandbox.faults import Faults
from portal.sandbox.post import wrongs
from portal.sandbox.post.wrongs import MOMENTS, Mishap


class Caller(Protocol):
    """Somebody who is connected just now."""

    @property
    def user(self) -> str: ...

    def be_cut(self) -> None: ...


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

    @property
    def file_name(self) -> str:
        return f"{self.at:.3f}-{self.number:04d}.eml"

    def header(self, name: str) -> str:
        return str(message_from_bytes(self.raw, policy=default).get(name, ""))


class Desk:
    """Shared by all connections; each test or try-out has one.

    everybodys: the password of every address that has no account of its own; none without it.
    kept_in: the folder where accepted messages are left for people to open, and found again.
    """

    def __init__(self, everybodys: str = "", kept_in: Path | None = None) -> None:
        self.everybodys, self._kept_in = everybodys, kept_in
        self._lock = threading.Lock()
        self._accepted: list[Accepted] = [] if kept_in is None else _found_again(kept_in)
        self._mishaps: list[Mishap] = []
        self._accounts: dict[str, Account] = {}
        self._callers: set[Caller] = set()
        self.faults = Faults(wrongs.KINDS, wrongs.no_refusal)
        self.log_ins = 0
        self.connections = 0

    # -- accounts --------------------------------------------------------------------------------

    def add(self, user: str, password: str, senders: tuple[str, ...] = (), token: str = "") -> None:
        self._accounts[user.lower()] = Account(user, password, senders, token)

    @property
    def accounts(self) -> list[Account]:
        """Those with a password of their own."""
        return list(self._accounts.values())

    def change_password(self, user: str) -> str:
        """Another password, and whoever is logged in with the old one is cut off. Returns it."""
        known = self.account(user)
        senders = known.senders if known else ()
        made = secrets.token_hex(8)
        self.add(user, made, senders)
        self.cut_off(user)
        return made

    def account(self, user: str) -> Account | None:
        found = self._accounts.get(user.lower())
        if found is None and user and self.everybodys:
            return Account(user, self.everybodys)
        return found

    def lets_in(self, user: str, password: str) -> bool:
        found = self.account(user)
        return found is not None and bool(password) and found.password == password

    def lets_in_by_token(self, user: str, token: str) -> bool:
        found = self.account(user)
        return found is not None and bool(token) and found.token == token

    # -- who is connected ------------------------------------------------------------------------

    def greet(self, caller: Caller) -> None:
        with self._lock:
            self._callers.add(caller)

    def take_leave(self, caller: Caller) -> None:
        with self._lock:
            self._callers.discard(caller)

    def cut_off(self, user: str = "") -> int:
        """End every connection of a user, or of everybody; how many there were."""
        with self._lock:
            theirs = [one for one in self._callers if not user or one.user.lower() == user.lower()]
        for one in theirs:
            one.be_cut()
        return len(theirs)

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
            (self._kept_in / made.file_name).write_bytes(raw)
        return made

    def forget(self) -> int:
        """Forget what was accepted, and the files of it too; how many there were."""
        with self._lock:
            gone, self._accepted = self._accepted, []
        for one in gone if self._kept_in else ():
            assert self._kept_in is not None
            (self._kept_in / one.file_name).unlink(missing_ok=True)
        return len(gone)

    # -- what goes wrong -------------------------------------------------------------------------

    def spoil(self, moment: str, reply: str = "", **more: float | str | bool) -> None:
        """Let something go wrong, once unless told otherwise; see Mishap."""
        if moment not in MOMENTS:
            raise ValueError(f"{moment!r}: one of {', '.join(MOMENTS)}")
        with self._lock:
            self._mishaps.append(Mishap(moment, reply, **more))  # type: ignore[arg-type]

    def mishap(self, moment: str, about: str = "", user: str = "") -> Mishap | None:
        """What goes wrong here and now; about: the command's words, user: who is logged in."""
        with self._lock:
            for one in self._mishaps:
                if one.strikes(moment, about, user):
                    one.times -= 1
                    return one
        firing = self.faults.take(moment, user.lower() or None)
        return None if firing is None else wrongs.of(firing, moment)

    def clear(self) -> None:
        """As on the first day: no accounts, no mail, nothing that goes wrong."""
        self.forget()
        self.faults.clear()
        with self._lock:
            self._mishaps.clear()
            self._accounts.clear()
            self.log_ins = self.connections = 0


def _found_again(folder: Path) -> list[Accepted]:
    """What was accepted before this start; who had logged in is no longer known."""
    found = []
    for number, file in enumerate(sorted(folder.glob("*.eml")), start=1):
        raw, at = file.read_bytes(), float(file.name.split("-")[0])
        head = message_from_bytes(raw, policy=default)
        sender = getaddresses([str(head.get("From", ""))])[0][1]
        people = [str(head.get(name, "")) for name in ("To", "Cc")]
        to = tuple(email for _, email in getaddresses(people) if email)
        found.append(Accepted(number, sender, sender, to, raw, at))
    return found
