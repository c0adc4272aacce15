"""Fault: one way in which a call to Google goes wrong, steered for tests and try-outs.

Every kind says whether the deed happens: the act is done, or certainly is not.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

from portal.sandbox import errors
from portal.sandbox.errors import GoogleError, OAuthError

OAUTH_METHODS = ("token", "revoke", "userinfo", "certs", "discovery")
RETRY_AFTER = timedelta(minutes=15)
LOG_LENGTH = 1_000


@dataclass(frozen=True)
class Kind:
    acts: bool
    ends: str
    meaning: str


KINDS = {
    "refuse": Kind(False, "error", "Refused for good (400; code, reason and message can be told)."),
    "401": Kind(False, "error", "The access token is called invalid."),
    "revoked": Kind(False, "error", "token: invalid_grant; elsewhere 401."),
    "429": Kind(False, "error", "Too many calls a minute."),
    "rate-limit-403": Kind(False, "error", "The same, as Google often says it: with 403."),
    "concurrent": Kind(False, "error", "429 Too many concurrent requests for user."),
    "daily-limit": Kind(False, "error", "The day's sending limit is reached."),
    "domain-policy": Kind(False, "error", "The domain's administrator has disabled Gmail apps."),
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
    seen: int = 0
    fired: int = 0
    _chance: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self._chance.seed(self.seed)

    @property
    def acts(self) -> bool:
        return KINDS[self.kind].acts

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
        ends = KINDS[self.kind].ends
        if ends in ("reset", "close", "half"):
            raise ConnectionCut(ends, self.hang)
        raise self._oauth_error() if method in OAUTH_METHODS else self._google_error()

    def _oauth_error(self) -> OAuthError:
        if self.kind == "revoked":
            words = "Token has been expired or revoked."
            return OAuthError("invalid_grant", words, subtype=self.error_subtype)
        if self.kind == "429":
            return OAuthError("rate_limit_exceeded", "Rate Limit Exceeded", code=429)
        if self.kind.startswith("50"):
            return OAuthError("internal_failure", "Backend Error", code=int(self.kind[:3]))
        reason = self.reason or "invalid_request"
        return OAuthError(reason, self.message or "Bad Request", code=self.code or 400)

    def _google_error(self) -> GoogleError:
        error = _ANSWERS.get(self.kind, lambda: errors.invalid("Invalid To header"))()
        if self.kind == "refuse":
            reason = self.reason or "invalidArgument"
            error = GoogleError(self.code or 400, reason, self.message or error.message)
        return error

    def listed(self) -> dict[str, Any]:
        names = ("id", "method", "kind", "times", "after", "probability", "seed", "delay", "hang",
                 "account", "seen", "fired")  # fmt: skip
        return {name: getattr(self, name) for name in names} | {"acts": self.acts}


def _retry_after() -> datetime:
    return datetime.now(UTC) + RETRY_AFTER


def _rate_limit_403() -> GoogleError:
    moment = _retry_after().strftime("%Y-%m-%dT%H:%M:%S.000Z")
    words = f"User-rate limit exceeded.  Retry after {moment}"
    return GoogleError(403, "userRateLimitExceeded", words, item={"domain": "usageLimits"})


_ANSWERS: dict[str, Callable[[], GoogleError]] = {
    "401": errors.bad_credentials,
    "revoked": errors.bad_credentials,
    "429": lambda: errors.over_quota(6_000),
    "rate-limit-403": _rate_limit_403,
    "concurrent": lambda: GoogleError(
        429,
        "rateLimitExceeded",
        "Too many concurrent requests for user.",
        item={"domain": "usageLimits"},
    ),
    "daily-limit": lambda: errors.sending_limit(_retry_after()),
    "domain-policy": lambda: GoogleError(
        403, "domainPolicy", "The domain administrators have disabled Gmail apps."
    ),
    "500-before": errors.backend_error,
    "500-after": errors.backend_error,
    "503-before": lambda: errors.backend_error(503),
    "503-after": lambda: errors.backend_error(503),
}


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
        elif self.fault.kind not in ("delay", "garbage"):
            self.fault.end(self.method)


class Faults:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._next_id = 1
        self.log: deque[dict[str, Any]] = deque(maxlen=LOG_LENGTH)

    def add(self, told: dict[str, Any]) -> Fault:
        kind, method = told.get("kind"), told.get("method", "*")
        if kind not in KINDS:
            raise ValueError(f"kind={kind!r}: one of {', '.join(KINDS)}")
        wrong = set(told) - _TOLD.keys() - {"kind", "method"}
        for name, value in told.items():
            if name in _TOLD and not isinstance(value, _TOLD[name]):
                wrong.add(name)
        if wrong or not isinstance(method, str):
            raise ValueError(f"not understood: {', '.join(sorted(wrong)) or 'method'}")
        with self._lock:
            fault = Fault(id=self._next_id, method=method, **{k: v for k, v in told.items()
                          if k != "method"})  # fmt: skip
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
}
