"""Fault: one way in which a call to a provider goes wrong, steered for tests and try-outs.

Every kind says whether the deed happens: the act is done, or certainly is not. In which words a
call is refused, each stand-in says for itself.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

LOG_LENGTH = 1_000


@dataclass(frozen=True)
class Kind:
    acts: bool
    ends: str
    meaning: str


#: What can happen to any call, whoever answers it.
WIRE = {
    "500-before": Kind(False, "error", "500, and nothing was done."),
    "503-before": Kind(False, "error", "503, and nothing was done."),
    "500-after": Kind(True, "error", "500, though the deed was done."),
    "503-after": Kind(True, "error", "503, though the deed was done."),
    "cut-before": Kind(False, "reset", "The connection is reset before anything was done."),
    "cut-after": Kind(True, "reset", "The connection is reset after the deed was done."),
    "swallow": Kind(True, "close", "Done; the connection closes without an answer (after `hang`)."),
    "swallow-before": Kind(False, "close", "Nothing done; it closes without an answer."),
    "half-answer": Kind(True, "half", "Done; the connection closes in the middle of the answer."),
    "garbage": Kind(True, "garbage", "Done; answered with a page that is no JSON."),
    "delay": Kind(True, "pass", "Waits `delay` seconds, then does the deed and answers."),
    "slow-answer": Kind(True, "slow", "Does the deed, then waits `delay` seconds to answer."),
}


class ConnectionCut(Exception):
    """Ends the exchange below HTTP: `how` is reset, close or half."""

    def __init__(self, how: str, hang: float = 0.0) -> None:
        super().__init__(how)
        self.how, self.hang = how, hang


@dataclass
class Fault:
    id: int
    method: str
    kind: str
    times: int | None = 1
    after: int = 0
    probability: float = 1.0
    seed: int | None = None
    delay: float = 0.0
    hang: float = 0.0
    account: str | None = None
    code: int | None = None
    reason: str | None = None
    message: str | None = None
    error_subtype: str = ""
    #: Microsoft's number of an error of its sign-in.
    number: int = 0
    #: The error in which a refusal of this kind is worded, for the method called.
    refusal: Callable[[Fault, str], Exception] = field(kw_only=True, repr=False)
    wire: Kind = field(kw_only=True, repr=False)
    seen: int = 0
    fired: int = 0
    _chance: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self._chance.seed(self.seed)

    @property
    def acts(self) -> bool:
        return self.wire.acts

    def fires(self, method: str, account: str | None) -> bool:
        if not fnmatchcase(method, self.method) or (self.account and self.account != account):
            return False
        self.seen += 1
        spent = self.times is not None and self.fired >= self.times
        if spent or self.seen <= self.after or self._chance.random() >= self.probability:
            return False
        self.fired += 1
        return True

    def end(self, method: str) -> None:
        """Ends the exchange the way this kind ends it."""
        if self.wire.ends in ("reset", "close", "half"):
            raise ConnectionCut(self.wire.ends, self.hang)
        raise self.refusal(self, method)

    def listed(self) -> dict[str, Any]:
        names = ("id", "method", "kind", "times", "after", "probability", "seed", "delay", "hang",
                 "account", "seen", "fired")  # fmt: skip
        return {name: getattr(self, name) for name in names} | {"acts": self.acts}


@dataclass
class Firing:
    """One fault that struck one call; the log tells whether the deed was done all the same."""

    fault: Fault
    method: str
    entry: dict[str, Any]

    def before(self) -> None:
        """Runs before the deed; raises where the deed must not happen."""
        if self.fault.kind == "delay":
            time.sleep(self.fault.delay)
        elif not self.fault.acts:
            self.fault.end(self.method)

    def after_deed(self) -> None:
        self.entry["acted"] = True
        if self.fault.kind == "slow-answer":
            time.sleep(self.fault.delay)
        elif self.fault.wire.ends not in ("pass", "garbage"):
            self.fault.end(self.method)


class Faults:
    def __init__(self, kinds: dict[str, Kind], refusal: Callable[[Fault, str], Exception]) -> None:
        self.kinds, self._refusal = kinds, refusal
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._next_id = 1
        self.log: deque[dict[str, Any]] = deque(maxlen=LOG_LENGTH)

    def add(self, told: dict[str, Any]) -> Fault:
        kind, method = told.get("kind"), told.get("method", "*")
        if kind not in self.kinds:
            raise ValueError(f"kind={kind!r}: one of {', '.join(self.kinds)}")
        wrong = set(told) - _TOLD.keys() - {"kind", "method"}
        for name, value in told.items():
            if name in _TOLD and not isinstance(value, _TOLD[name]):
                wrong.add(name)
        if wrong or not isinstance(method, str):
            raise ValueError(f"not understood: {', '.join(sorted(wrong)) or 'method'}")
        with self._lock:
            given = {name: value for name, value in told.items() if name != "method"}
            wire = self.kinds[kind]
            fault = Fault(self._next_id, method, refusal=self._refusal, wire=wire, **given)
            self._next_id += 1
            self._faults.append(fault)
        return fault

    def take(self, method: str, account: str | None) -> Firing | None:
        if not self._faults:
            return None
        with self._lock:
            for fault in self._faults:
                if fault.fires(method, account):
                    return self._fired(fault, method, account)
        return None

    def _fired(self, fault: Fault, method: str, account: str | None) -> Firing:
        entry = {"method": method, "kind": fault.kind, "fault": fault.id, "account": account}
        entry |= {"acted": False, "at": time.time()}
        self.log.append(entry)
        return Firing(fault, method, entry)

    def listed(self) -> list[dict[str, Any]]:
        with self._lock:
            return [fault.listed() for fault in self._faults]

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()
            self.log.clear()


_NUMBER = (int, float)
_TOLD: dict[str, type | tuple[type, ...]] = {
    "times": (int, type(None)),
    "after": int,
    "probability": _NUMBER,
    "seed": int,
    "delay": _NUMBER,
    "hang": _NUMBER,
    "account": (str, type(None)),
    "code": int,
    "reason": str,
    "message": str,
    "error_subtype": str,
    "number": int,
}
