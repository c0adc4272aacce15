"""Google's own faults: which refusals a call can be made to meet, in Google's words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from portal.sandbox import errors
from portal.sandbox.errors import GoogleError, OAuthError
from portal.sandbox.faults import WIRE, Fault, Kind

OAUTH_METHODS = ("token", "revoke", "userinfo", "certs", "discovery")
RETRY_AFTER = timedelta(minutes=15)
KINDS = {
    "refuse": Kind(False, "error", "Refused for good (400; code, reason and message can be told)."),
    "401": Kind(False, "error", "The access token is called invalid."),
    "revoked": Kind(False, "error", "token: invalid_grant; elsewhere 401."),
    "429": Kind(False, "error", "Too many calls a minute."),
    "rate-limit-403": Kind(False, "error", "The same, as Google often says it: with 403."),
    "concurrent": Kind(False, "error", "429 Too many concurrent requests for user."),
    "daily-limit": Kind(False, "error", "The day's sending limit is reached."),
    "domain-policy": Kind(False, "error", "The domain's administrator has disabled Gmail apps."),
    **WIRE,
}


def refusal(fault: Fault, method: str) -> GoogleError | OAuthError:
    return _oauth_error(fault) if method in OAUTH_METHODS else _google_error(fault)


def _oauth_error(fault: Fault) -> OAuthError:
    if fault.kind == "revoked":
        words = "Token has been expired or revoked."
        return OAuthError("invalid_grant", words, subtype=fault.error_subtype)
    if fault.kind == "429":
        return OAuthError("rate_limit_exceeded", "Rate Limit Exceeded", code=429)
    if fault.kind.startswith("50"):
        return OAuthError("internal_failure", "Backend Error", code=int(fault.kind[:3]))
    reason = fault.reason or "invalid_request"
    return OAuthError(reason, fault.message or "Bad Request", code=fault.code or 400)


def _google_error(fault: Fault) -> GoogleError:
    error = _ANSWERS.get(fault.kind, lambda: errors.invalid("Invalid To header"))()
    if fault.kind == "refuse":
        reason = fault.reason or "invalidArgument"
        error = GoogleError(fault.code or 400, reason, fault.message or error.message)
    return error


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
    "concurrent": errors.too_many_at_once,
    "daily-limit": lambda: errors.sending_limit(_retry_after()),
    "domain-policy": lambda: GoogleError(
        403, "domainPolicy", "The domain administrators have disabled Gmail apps."
    ),
    "500-before": errors.backend_error,
    "500-after": errors.backend_error,
    "503-before": lambda: errors.backend_error(503),
    "503-after": lambda: errors.backend_error(503),
}
