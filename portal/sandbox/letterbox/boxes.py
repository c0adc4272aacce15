"""Boxes: the inboxes of the local letterbox, who may open each, and what is to go wrong."""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from dataclasses import dataclass, field

#: The commands at which something can go wrong; CONNECT is the greeting.
MOMENTS = (
    *("CONNECT", "CAPABILITY", "STARTTLS", "LOGIN", "AUTHENTICATE", "EXAMINE", "SEARCH", "FETCH"),
)


@dataclass(frozen=True)
class Letter:
    """One message in an inbox. at: when it came, in seconds since 1970."""

    uid: int
    raw: bytes
    at: float


@dataclass
class Box:
    """One person's inbox. validity: as long as it stays, a uid means the same letter."""

    user: str
    password: str
    token: str = ""
    validity: int = 1_700_000_000
    next_uid: int = 1
    letters: list[Letter] = field(default_factory=list)

    def after(self, uid: int) -> list[Letter]:
        """The letters with a higher uid."""
        return self.letters[bisect_right(self.letters, uid, key=lambda one: one.uid) :]


@dataclass
class Mishap:
    """One way in which a command goes wrong.

    reply: what is answered behind the command's tag, such as "NO [UNAVAILABLE] later"; nothing: the
    connection is cut; "half": it is cut in the middle of the answer. times: how often; -1 for
    always. delay: so many seconds before anything else.
    """

    moment: str
    reply: str = ""
    times: int = 1
    delay: float = 0.0


class Boxes:
    """Shared by all connections; each test or try-out has them for itself."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._boxes: dict[str, Box] = {}
        self._mishaps: list[Mishap] = []
        self.log_ins = self.connections = 0

    def add(self, user: str, password: str, token: str = "") -> None:
        self._boxes[user.lower()] = Box(user, password, token)

    def box(self, user: str) -> Box | None:
        return self._boxes.get(user.lower())

    def opens(self, user: str, password: str) -> Box | None:
        found = self.box(user)
        return found if found and password and found.password == password else None

    def opens_by_token(self, user: str, token: str) -> Box | None:
        found = self.box(user)
        return found if found and token and found.token == token else None

    # -- what becomes of letters -----------------------------------------------------------------

    def deliver(self, user: str, *letters: bytes, at: float | None = None) -> list[int]:
        """Letters arrive, now unless told. Returns their uids."""
        box, moment = self._boxes[user.lower()], time.time() if at is None else at
        with self._lock:
            first = box.next_uid
            came = [Letter(first + number, raw, moment) for number, raw in enumerate(letters)]
            box.letters += came
            box.next_uid += len(came)
        return [one.uid for one in came]

    def delete(self, user: str, uid: int) -> None:
        box = self._boxes[user.lower()]
        with self._lock:
            box.letters = [one for one in box.letters if one.uid != uid]

    def renumber(self, user: str) -> None:
        """As after a move to another server: every uid means something else from now on."""
        box = self._boxes[user.lower()]
        with self._lock:
            box.validity += 1
            box.letters = [Letter(n, one.raw, one.at) for n, one in enumerate(box.letters, 1)]
            box.next_uid = len(box.letters) + 1

    # -- what goes wrong -------------------------------------------------------------------------

    def spoil(self, moment: str, reply: str = "", *, times: int = 1, delay: float = 0.0) -> None:
        """Let something go wrong, once unless told otherwise; see Mishap."""
        if moment not in MOMENTS:
            raise ValueError(f"{moment!r}: one of {', '.join(MOMENTS)}")
        with self._lock:
            self._mishaps.append(Mishap(moment, reply, times, delay))

    def mishap(self, moment: str) -> Mishap | None:
        with self._lock:
            for one in self._mishaps:
                if one.moment == moment and one.times:
                    one.times -= 1
                    return one
        return None

    def clear(self) -> None:
        """As on the first day: no accounts, no letters, nothing that goes wrong."""
        with self._lock:
            self._boxes.clear()
            self._mishaps.clear()
            self.log_ins = self.connections = 0
