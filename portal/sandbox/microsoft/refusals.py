"""Refusal: which faults a call to the local Microsoft can meet, and in which words."""

from __future__ import annotations

import time
from collections.abc import Callable

from flask import Response, current_app

from portal.sandbox.faults import WIRE, Fault, Kind
from portal.sandbox.microsoft import errors
from portal.sandbox.microsoft.errors import GraphError, StsError

STS_METHODS = ("token", "discovery", "keys")
RETRY_SECONDS = 30
YEAR = 365 * 86_400.0
KINDS = {
    "refuse": Kind(False, "error", "Refused for good (400; code, reason and message can be told)."),
    "401": Kind(False, "error", "The access token is called expired."),
    "revoked": Kind(False, "error", "token: AADSTS50173; elsewhere 401."),
    "expired": Kind(False, "error", "token: AADSTS700082, 90 days unused; elsewhere 401."),
    "mfa": Kind(False, "error", "token: AADSTS50076; elsewhere 401."),
    "mfa-enrol": Kind(False, "error", "token: AADSTS50079, interaction_required; elsewhere 401."),
    "consent-missing": Kind(False, "error", "token: AADSTS65001; elsewhere 403."),
    "secret-expired": Kind(False, "error", "token: AADSTS7000222."),
    "429": Kind(False, "error", "Too many calls, with Retry-After (`delay` seconds, or 30)."),
    "concurrent": Kind(False, "error", "429: more than four calls at once to one mailbox."),
    "access-denied": Kind(False, "error", "403 ErrorAccessDenied."),
    "send-as-denied": Kind(False, "error", "403 ErrorSendAsDenied."),
    "message-limit": Kind(False, "error", "403 ErrorExceededMessageLimit."),
    "no-mailbox": Kind(False, "error", "404 MailboxNotEnabledForRESTAPI."),
    "too-large": Kind(False, "error", "413."),
    "202-retry-after": Kind(True, "pass", "202 with Retry-After: it was done, not to be repeated."),
    "stuck": Kind(False, "error", "202, though nothing was done: a draft stays a draft."),
    "504-before": Kind(False, "error", "504, and nothing was done."),
    "504-after": Kind(True, "error", "504, though the deed was done."),
    **WIRE,
}


class Pretended(Exception):
    """An answer as if it had been done."""

    def response(self) -> Response:
        return Response(status=202)


def refusal(fault: Fault, method: str) -> Exception:
    if fault.kind == "stuck":
        return Pretended()
    return _sts_error(fault) if method in STS_METHODS else _graph_error(fault)


def _sts_error(fault: Fault) -> StsError:
    if fault.kind in _STS:
        return _STS[fault.kind]()
    if fault.kind == "429":
        words = "Exceeded the request limit. Try again later."
        return StsError("temporarily_unavailable", 90055, words, status=429)
    if fault.kind.startswith("50"):
        words = "The service is temporarily unavailable. Please retry later."
        return StsError("temporarily_unavailable", 90033, words, status=int(fault.kind[:3]))
    error = fault.reason or "invalid_request"
    words = fault.message or "Invalid request. Request is malformed or invalid."
    return StsError(error, fault.number, words, status=fault.code or 400)


def _graph_error(fault: Fault) -> GraphError:
    if fault.kind == "429":
        return errors.throttled("MailboxConcurrency", fault.delay or RETRY_SECONDS)
    if fault.kind.startswith("50"):
        return errors.unavailable(int(fault.kind[:3]), fault.delay or RETRY_SECONDS)
    if fault.kind in _GRAPH:
        return _GRAPH[fault.kind]()
    reason = fault.reason or "ErrorInvalidRecipients"
    words = fault.message or "At least one recipient isn't valid."
    return GraphError(fault.code or 400, reason, words)


_STS: dict[str, Callable[[], StsError]] = {
    "revoked": errors.withdrawn,
    "expired": lambda: errors.idle_too_long(time.time() - YEAR),
    "mfa": errors.more_factors,
    "mfa-enrol": errors.enrol_factors,
    "consent-missing": lambda: errors.no_consent(*_app()),
    "secret-expired": lambda: errors.secret_expired(_app()[0]),
}
_GRAPH: dict[str, Callable[[], GraphError]] = {
    "401": errors.bad_token,
    "revoked": errors.bad_token,
    "expired": errors.bad_token,
    "mfa": errors.bad_token,
    "mfa-enrol": errors.bad_token,
    "secret-expired": errors.bad_token,
    "consent-missing": errors.access_denied,
    "access-denied": errors.access_denied,
    "concurrent": lambda: errors.throttled("MailboxConcurrency", 1),
    "send-as-denied": errors.send_as_denied,
    "message-limit": errors.message_limit,
    "no-mailbox": errors.no_mailbox,
    "too-large": errors.too_large,
}


def _app() -> tuple[str, str]:
    settings = current_app.extensions["local_microsoft"].settings
    return settings.client_id, settings.app_name
