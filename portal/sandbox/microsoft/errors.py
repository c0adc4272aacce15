"""GraphError, StsError: refusals in the exact shapes in which Microsoft gives them.

Graph's: {"error": {"code", "message", "innerError"}}. The sign-in service's (STS): OAuth's body
with an AADSTS number, once in the description and once in `error_codes`.
"""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any

from flask import Response, request

CHECK_CREDENTIALS = "Access is denied. Check credentials and try again."
NOT_IN_STORE = "The specified object was not found in the store."
NO_RIGHT_TO_SEND = (
    "The user account which was used to submit this request does not have the right to send mail "
    "on behalf of the specified sending account. Cannot submit message."
)
NO_MAILBOX = "The mailbox is either inactive, soft-deleted, or is hosted on-premise."


def graph_json(answer: dict[str, Any], status: int = 200) -> Response:
    text = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
    return Response(text, status, content_type="application/json; odata.metadata=minimal")


class GraphError(Exception):
    def __init__(
        self, status: int, code: str, message: str, *, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.code, self.message = status, code, message
        self.headers = headers or {}

    def response(self) -> Response:
        request_id = str(uuid.uuid4())
        inner = {
            "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
            "request-id": request_id,
            "client-request-id": request.headers.get("client-request-id", request_id),
        }
        error = {"code": self.code, "message": self.message, "innerError": inner}
        answer = graph_json({"error": error}, self.status)
        answer.content_type = "application/json"
        answer.headers["request-id"] = request_id
        answer.headers.update(self.headers)
        return answer


class StsError(Exception):
    """A refusal of the sign-in service: OAuth's error, Microsoft's number, its words."""

    def __init__(
        self, error: str, number: int, words: str, *, status: int = 400, suberror: str = ""
    ) -> None:
        super().__init__(f"AADSTS{number}: {words}")
        self.error, self.number, self.words = error, number, words
        self.status, self.suberror = status, suberror

    def body(self) -> dict[str, Any]:
        trace, correlation, now = str(uuid.uuid4()), str(uuid.uuid4()), _stamp()
        ends = f" Trace ID: {trace} Correlation ID: {correlation} Timestamp: {now}"
        body: dict[str, Any] = {
            "error": self.error,
            "error_description": self.described() + ends,
            "error_codes": [self.number],
            "timestamp": now,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"{request.host_url}error?code={self.number}",
        }
        return body | ({"suberror": self.suberror} if self.suberror else {})

    def described(self) -> str:
        return f"AADSTS{self.number}: {self.words}"

    def response(self) -> Response:
        answer = Response(json.dumps(self.body()), self.status)
        answer.content_type = "application/json; charset=utf-8"
        answer.headers["Cache-Control"] = "no-store, no-cache"
        return answer


# Graph's


def bad_request(message: str, code: str = "BadRequest") -> GraphError:
    return GraphError(400, code, message)


def not_found(message: str = NOT_IN_STORE) -> GraphError:
    return GraphError(404, "ErrorItemNotFound", message)


def malformed_id() -> GraphError:
    return GraphError(400, "ErrorInvalidIdMalformed", "Id is malformed.")


def access_denied() -> GraphError:
    return GraphError(403, "ErrorAccessDenied", CHECK_CREDENTIALS)


def send_as_denied() -> GraphError:
    return GraphError(403, "ErrorSendAsDenied", NO_RIGHT_TO_SEND)


def no_mailbox() -> GraphError:
    return GraphError(404, "MailboxNotEnabledForRESTAPI", NO_MAILBOX)


def message_limit() -> GraphError:
    words = "The message limit has been exceeded. Cannot send mail."
    return GraphError(403, "ErrorExceededMessageLimit", words)


def bad_token(message: str = "Lifetime validation failed, the token is expired.") -> GraphError:
    realm = f'Bearer realm="", authorization_uri="{request.host_url}common/oauth2/authorize"'
    headers = {"WWW-Authenticate": f'{realm}, client_id="00000003-0000-0000-c000-000000000000"'}
    return GraphError(401, "InvalidAuthenticationToken", message, headers=headers)


def too_large() -> GraphError:
    return GraphError(413, "BadRequest", "Maximum request length exceeded.")


def throttled(limit: str, seconds: float) -> GraphError:
    words = f"Application is over its {limit} limit."
    return GraphError(429, "ApplicationThrottled", words, headers=retry_after(seconds))


def unavailable(status: int = 503, seconds: float = 10) -> GraphError:
    if status == 504:
        return GraphError(504, "UnknownError", "")
    if status == 500:
        words = "An internal server error occurred. The operation failed."
        return GraphError(500, "ErrorInternalServerError", words)
    words = "The server cannot service this request right now. Try again later."
    return GraphError(status, "ErrorServerBusy", words, headers=retry_after(seconds))


def retry_after(seconds: float) -> dict[str, str]:
    return {"Retry-After": str(max(1, round(seconds + 0.49)))}


# The sign-in service's


def idle_too_long(issued: float) -> StsError:
    moment = datetime.fromtimestamp(issued, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
    words = (
        "The refresh token has expired due to inactivity. "
        f"The token was issued on {moment} and was inactive for 90.00:00:00."
    )
    return StsError("invalid_grant", 700082, words)


def withdrawn() -> StsError:
    words = (
        "The provided grant has expired due to it being revoked, a fresh auth token is needed. "
        "The user might have changed or reset their password."
    )
    return StsError("invalid_grant", 50173, words, suberror="bad_token")


def code_expired() -> StsError:
    words = (
        "The provided authorization code or refresh token has expired due to inactivity. "
        "Send a new interactive authorization request for this user and resource."
    )
    return StsError("invalid_grant", 70008, words)


def code_used() -> StsError:
    words = (
        "OAuth2 Authorization code was already redeemed, please retry with a new valid code or "
        "use an existing refresh token."
    )
    return StsError("invalid_grant", 54005, words)


def not_valid(parameter: str) -> StsError:
    words = f"The provided value for the input parameter '{parameter}' is not valid."
    return StsError("invalid_grant", 70000, words)


def wrong_verifier() -> StsError:
    words = (
        "The Code_Verifier does not match the code_challenge supplied in the authorization request."
    )
    return StsError("invalid_grant", 501481, words)


def no_consent(client_id: str, app_name: str) -> StsError:
    words = (
        f"The user or administrator has not consented to use the application with ID '{client_id}' "
        f"named '{app_name}'. Send an interactive authorization request for this user and resource."
    )
    return StsError("invalid_grant", 65001, words, suberror="consent_required")


def more_factors() -> StsError:
    words = (
        "Due to a configuration change made by your administrator, or because you moved to a new "
        "location, you must use multi-factor authentication to access "
        "'00000003-0000-0000-c000-000000000000'."
    )
    return StsError("invalid_grant", 50076, words, suberror="basic_action")


def enrol_factors() -> StsError:
    words = (
        "Due to a configuration change made by your administrator, or because you moved to a new "
        "location, you must enroll in multi-factor authentication to access "
        "'00000003-0000-0000-c000-000000000000'."
    )
    return StsError("interaction_required", 50079, words, suberror="basic_action")


def account_disabled() -> StsError:
    return StsError("invalid_grant", 50057, "The user account is disabled.")


def secret_expired(client_id: str) -> StsError:
    words = (
        f"The provided client secret keys for app '{client_id}' are expired. Visit the Azure "
        "portal to create new keys for your app: https://aka.ms/NewClientSecret, or consider using "
        "certificate credentials for added security: https://aka.ms/certCreds."
    )
    return StsError("invalid_client", 7000222, words, status=401)


def secret_wrong(client_id: str) -> StsError:
    words = (
        "Invalid client secret provided. Ensure the secret being sent in the request is the client "
        f"secret value, not the client secret ID, for a secret added to app '{client_id}'."
    )
    return StsError("invalid_client", 7000215, words, status=401)


def app_unknown(client_id: str, directory: str) -> StsError:
    words = (
        f"Application with identifier '{client_id}' was not found in the directory '{directory}'. "
        "This can happen if the application has not been installed by the administrator of the "
        "tenant or consented to by any user in the tenant."
    )
    return StsError("unauthorized_client", 700016, words)


def tenant_unknown(name: str) -> StsError:
    words = (
        f"Tenant '{name}' not found. Check to make sure you have the correct tenant ID and are "
        "signing into the correct cloud."
    )
    return StsError("invalid_tenant", 90002, words)


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
