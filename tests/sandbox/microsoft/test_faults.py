"""Faults at the local Microsoft: each says truly whether the deed was done."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from portal.sandbox.microsoft.refusals import KINDS
from tests.sandbox.microsoft.client import OFFICE, Graph, Microsoft, SignIn, sts_refused
from tests.sandbox.visitor import letter

NO_ANSWER = ("cut-before", "cut-after", "swallow", "swallow-before", "half-answer")
ANSWERS = {
    "refuse": (400, "ErrorInvalidRecipients"),
    "401": (401, "InvalidAuthenticationToken"),
    "revoked": (401, "InvalidAuthenticationToken"),
    "expired": (401, "InvalidAuthenticationToken"),
    "mfa": (401, "InvalidAuthenticationToken"),
    "mfa-enrol": (401, "InvalidAuthenticationToken"),
    "secret-expired": (401, "InvalidAuthenticationToken"),
    "consent-missing": (403, "ErrorAccessDenied"),
    "access-denied": (403, "ErrorAccessDenied"),
    "send-as-denied": (403, "ErrorSendAsDenied"),
    "message-limit": (403, "ErrorExceededMessageLimit"),
    "no-mailbox": (404, "MailboxNotEnabledForRESTAPI"),
    "too-large": (413, "BadRequest"),
    "429": (429, "ApplicationThrottled"),
    "concurrent": (429, "ApplicationThrottled"),
    "500-before": (500, "ErrorInternalServerError"),
    "500-after": (500, "ErrorInternalServerError"),
    "503-before": (503, "ErrorServerBusy"),
    "503-after": (503, "ErrorServerBusy"),
    "504-before": (504, "UnknownError"),
    "504-after": (504, "UnknownError"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_says_truly_whether_the_mail_was_sent(
    graph: Graph, microsoft: Microsoft, kind: str
) -> None:
    draft = graph.draft(letter())["id"]
    microsoft.tell("faults", method="messages.send", kind=kind, account=OFFICE)
    try:
        answer = graph.send(draft)
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
        assert kind in NO_ANSWER
    else:
        assert kind not in NO_ANSWER
        if kind in ANSWERS:
            assert (answer.status_code, answer.json()["error"]["code"]) == ANSWERS[kind]
    acts = KINDS[kind].acts
    assert len(microsoft.accepted()) == int(acts)
    assert graph.get(f"/messages/{draft}")["isDraft"] is not acts
    (entry,) = microsoft.ask("faults")["log"]
    assert (entry["kind"], entry["acted"]) == (kind, acts)


@pytest.mark.parametrize(("kind", "left"), [("202-retry-after", True), ("stuck", False)])
def test_two_answers_that_promise_the_wrong_thing(
    graph: Graph, microsoft: Microsoft, kind: str, left: bool
) -> None:
    microsoft.tell("faults", method="messages.send", kind=kind)
    draft = graph.draft(letter())["id"]
    answer = graph.send(draft)
    assert answer.status_code == 202
    assert ("Retry-After" in answer.headers) is left
    assert graph.get(f"/messages/{draft}")["isDraft"] is not left


@pytest.mark.parametrize(
    ("kind", "status", "error", "number"),
    [
        ("revoked", 400, "invalid_grant", 50173),
        ("expired", 400, "invalid_grant", 700082),
        ("mfa", 400, "invalid_grant", 50076),
        ("mfa-enrol", 400, "interaction_required", 50079),
        ("consent-missing", 400, "invalid_grant", 65001),
        ("secret-expired", 401, "invalid_client", 7000222),
        ("503-before", 503, "temporarily_unavailable", 90033),
        ("429", 429, "temporarily_unavailable", 90055),
    ],
)
def test_the_token_endpoint_fails_in_the_numbers_of_its_own(
    microsoft: Microsoft, sign_in: SignIn, kind: str, status: int, error: str, number: int
) -> None:
    token = sign_in.sign_in()["refresh_token"]
    microsoft.tell("faults", method="token", kind=kind, account=OFFICE)
    sts_refused(sign_in.refresh(token), status, error, number)
    assert sign_in.refresh(token).status_code == 200


def test_a_refusal_can_be_worded(graph: Graph, microsoft: Microsoft, sign_in: SignIn) -> None:
    microsoft.tell("faults", method="me", kind="refuse", code=418, reason="Teapot", message="Tea.")
    error = graph.call("GET", "").json()["error"]
    assert (error["code"], error["message"]) == ("Teapot", "Tea.")
    token = sign_in.sign_in()["refresh_token"]
    told = {"reason": "invalid_grant", "number": 70043, "message": "Sign-in frequency."}
    microsoft.tell("faults", method="token", kind="refuse", **told)
    sts_refused(sign_in.refresh(token), 400, "invalid_grant", 70043)


def test_a_swallowed_draft_leaves_an_orphan_that_its_header_tells(
    graph: Graph, microsoft: Microsoft
) -> None:
    microsoft.tell("faults", method="messages.create", kind="swallow")
    with pytest.raises(requests.ConnectionError):
        graph.draft(letter(X_Sendwright_Dispatch="7f3a"))
    told = graph.get("/mailFolders/drafts/messages", **{"$select": "internetMessageHeaders"})
    (orphan,) = told["value"]
    assert orphan["internetMessageHeaders"] == [{"name": "X-Sendwright-Dispatch", "value": "7f3a"}]


def test_one_draft_sent_by_many_at_once_leaves_once(graph: Graph, microsoft: Microsoft) -> None:
    microsoft.tell("settings", calls_at_once=0)
    draft = graph.draft(letter())["id"]

    def send(_: int) -> int:
        return Graph(graph.origin, graph.token).send(draft).status_code

    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(send, range(8)))
    assert codes.count(202) == 1 and set(codes) <= {202, 404, 409}
    assert len(microsoft.accepted()) == 1
