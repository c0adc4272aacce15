"""GoogleError: a refusal in the exact shape in which Google's APIs give it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from flask import Response

REALM = 'Bearer realm="https://accounts.google.com/"'
CANONICAL = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def google_json(answer: dict[str, Any]) -> Response:
    text = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
    return Response(text, content_type="application/json; charset=UTF-8")


class GoogleError(Exception):
    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        item: dict[str, str] | None = None,
        status: str | None = None,
        details: list[dict[str, Any]] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message
        self.status = status or CANONICAL.get(code)
        self.item, self.details, self.headers = item or {}, details or [], headers or {}

    def body(self) -> dict[str, Any]:
        item = {"message": self.message, "domain": "global", "reason": self.reason, **self.item}
        error: dict[str, Any] = {"code": self.code, "message": self.message, "errors": [item]}
        if self.status:
            error["status"] = self.status
        if self.details:
            error["details"] = self.details
        return {"error": error}

    def response(self) -> Response:
        answer = google_json(self.body())
        answer.status_code = self.code
        answer.headers.update(self.headers)
        return answer


class OAuthError(Exception):
    """A refusal of the token, revocation and userinfo endpoints, which speak plain OAuth."""

    def __init__(self, error: str, description: str, *, code: int = 400, subtype: str = "") -> None:
        super().__init__(f"{error}: {description}")
        self.code = code
        self.body = {"error": error, "error_description": description}
        if subtype:
            self.body["error_subtype"] = subtype

    def response(self) -> Response:
        answer = google_json(self.body)
        answer.status_code = self.code
        if self.code == 401:
            answer.headers["WWW-Authenticate"] = REALM
        return answer


def invalid(message: str, reason: str = "invalidArgument") -> GoogleError:
    return GoogleError(400, reason, message)


def not_found() -> GoogleError:
    return GoogleError(404, "notFound", "Requested entity was not found.")


def forbidden(message: str) -> GoogleError:
    return GoogleError(403, "forbidden", message)


def no_credentials() -> GoogleError:
    return GoogleError(
        401,
        "required",
        "Request is missing required authentication credential.",
        item={
            "message": "Login Required.",
            "location": "Authorization",
            "locationType": "header",
        },
        details=[error_info("CREDENTIALS_MISSING")],
        headers={"WWW-Authenticate": REALM},
    )


def bad_credentials() -> GoogleError:
    return GoogleError(
        401,
        "authError",
        "Request had invalid authentication credentials.",
        item={
            "message": "Invalid Credentials",
            "location": "Authorization",
            "locationType": "header",
        },
        headers={"WWW-Authenticate": f'{REALM}, error="invalid_token"'},
    )


def scope_missing(method: str, scopes: tuple[str, ...]) -> GoogleError:
    return GoogleError(
        403,
        "insufficientPermissions",
        "Request had insufficient authentication scopes.",
        item={"message": "Insufficient Permission"},
        details=[error_info("ACCESS_TOKEN_SCOPE_INSUFFICIENT", method=f"gmail.users.{method}")],
        headers={
            "WWW-Authenticate": f'{REALM}, error="insufficient_scope", scope="{" ".join(scopes)}"'
        },
    )


def over_quota(limit: int) -> GoogleError:
    return GoogleError(
        429,
        "rateLimitExceeded",
        "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute per user' of "
        "service 'gmail.googleapis.com' for consumer 'project_number:202620262026'.",
        item={"domain": "usageLimits"},
        details=[
            error_info(
                "RATE_LIMIT_EXCEEDED",
                quota_metric="gmail.googleapis.com/default",
                quota_limit="defaultPerMinutePerUser",
                quota_limit_value=str(limit),
                consumer="projects/202620262026",
            )
        ],
    )


def too_many_at_once() -> GoogleError:
    return GoogleError(
        429,
        "rateLimitExceeded",
        "Too many concurrent requests for user.",
        item={"domain": "usageLimits"},
    )


def sending_limit(until: datetime) -> GoogleError:
    moment = until.strftime("%Y-%m-%dT%H:%M:%S.") + f"{until.microsecond // 1000:03d}Z"
    return GoogleError(
        429,
        "rateLimitExceeded",
        # Two spaces: so Google writes it, and so callers have to parse it.
        f"User-rate limit exceeded.  Retry after {moment} (Mail sending)",
        item={"domain": "usageLimits"},
    )


def backend_error(code: int = 500) -> GoogleError:
    return GoogleError(code, "backendError", "Backend Error" if code == 500 else "Try again later.")


def error_info(reason: str, **metadata: str) -> dict[str, Any]:
    return {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {"service": "gmail.googleapis.com", **metadata},
    }
