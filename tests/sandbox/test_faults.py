"""Faults: each kind goes wrong in its own way, and says truly whether the deed was done."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from portal.sandbox.google_faults import KINDS
from tests.sandbox.visitor import FULL, OFFICE, App, Gmail, Steering, letter

REASONS = {
    "refuse": (400, "invalidArgument"),
    "401": (401, "authError"),
    "revoked": (401, "authError"),
    "429": (429, "rateLimitExceeded"),
    "rate-limit-403": (403, "userRateLimitExceeded"),
    "concurrent": (429, "rateLimitExceeded"),
    "daily-limit": (429, "rateLimitExceeded"),
    "domain-policy": (403, "domainPolicy"),
    "500-before": (500, "backendError"),
    "503-before": (503, "backendError"),
    "500-after": (500, "backendError"),
    "503-after": (503, "backendError"),
}
NO_ANSWER = ("cut-before", "cut-after", "swallow", "swallow-before", "half-answer")


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_says_truly_whether_the_mail_was_sent(
    gmail: Gmail, steering: Steering, kind: str
) -> None:
    draft = gmail.draft(letter())
    steering.tell("faults", method="drafts.send", kind=kind)
    try:
        answer = gmail.call("POST", "/drafts/send", json={"id": draft})
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
        assert kind in NO_ANSWER
    else:
        assert kind not in NO_ANSWER
        if kind in REASONS:
            error = answer.json()["error"]
            assert (error["code"], error["errors"][0]["reason"]) == REASONS[kind]
    acts = KINDS[kind].acts
    assert len(steering.accepted()) == int(acts)
    assert gmail.has_draft(draft) is not acts
    (entry,) = steering.ask("faults")["log"]
    assert (entry["kind"], entry["acted"]) == (kind, acts)


def test_a_cut_resets_the_connection_and_a_swallow_closes_it_quietly(
    gmail: Gmail, steering: Steering
) -> None:
    for kind, cause in (("cut-before", "ConnectionReset"), ("swallow", "RemoteDisconnected")):
        steering.tell("faults", method="messages.send", kind=kind)
        with pytest.raises(requests.ConnectionError) as raised:
            gmail.send(letter())
        assert cause in repr(raised.value)


def test_garbage_is_an_answer_that_is_no_json(gmail: Gmail, steering: Steering) -> None:
    steering.tell("faults", method="messages.send", kind="garbage")
    answer = gmail.call("POST", "/messages/send", json={})
    assert answer.status_code == 400, "a deed that is refused stays refused"
    steering.tell("faults", method="getProfile", kind="garbage")
    answer = gmail.call("GET", "/profile")
    assert (answer.status_code, answer.text[:6]) == (200, "<html>")


def test_a_refusal_can_be_worded(gmail: Gmail, steering: Steering) -> None:
    steering.tell(
        "faults", method="messages.send", kind="refuse", code=403, reason="domainPolicy",
        message="Gone fishing.",
    )  # fmt: skip
    error = gmail.call("POST", "/messages/send", json={}).json()["error"]
    assert (error["code"], error["status"]) == (403, "PERMISSION_DENIED")
    assert (error["errors"][0]["reason"], error["message"]) == ("domainPolicy", "Gone fishing.")


def test_a_fault_strikes_so_often_after_so_many_and_this_account_only(
    gmail: Gmail, steering: Steering
) -> None:
    steering.tell("faults", method="getProfile", kind="429", times=2, after=1, account=OFFICE)
    other = steering.gmail("max@elsewhere.example")
    assert other.call("GET", "/profile").status_code == 200
    codes = [gmail.call("GET", "/profile").status_code for _ in range(5)]
    assert codes == [200, 429, 429, 200, 200]


def test_a_pattern_names_many_methods(gmail: Gmail, steering: Steering) -> None:
    steering.tell("faults", method="drafts.*", kind="503-before", times=None)
    assert gmail.call("GET", "/drafts").status_code == 503
    assert gmail.call("GET", "/messages").status_code == 200
    requests.delete(f"{steering.origin}/_sandbox/faults", timeout=5)
    assert gmail.call("GET", "/drafts").status_code == 200
    assert steering.ask("faults")["faults"] == []


def test_chance_is_the_same_every_time_for_a_seed(gmail: Gmail, steering: Steering) -> None:
    runs = []
    for _ in range(2):
        requests.delete(f"{steering.origin}/_sandbox/faults", timeout=5)
        steering.tell("faults", method="*", kind="429", times=None, probability=0.5, seed=7)
        runs.append([gmail.call("GET", "/profile").status_code for _ in range(20)])
    assert runs[0] == runs[1]
    assert {200, 429} == set(runs[0])


def test_a_delay_acts_late_and_a_slow_answer_acts_at_once(gmail: Gmail, steering: Steering) -> None:
    for kind, accepted_meanwhile in (("delay", 0), ("slow-answer", 1)):
        steering.tell("reset", mail_only=True)
        steering.tell("faults", method="messages.send", kind=kind, delay=0.4)
        started = time.monotonic()
        sending = threading.Thread(target=gmail.send, args=(letter(),))
        sending.start()
        time.sleep(0.2)
        assert len(steering.accepted()) == accepted_meanwhile, kind
        sending.join(timeout=5)
        assert time.monotonic() - started >= 0.4
        assert len(steering.accepted()) == 1


def test_a_swallowed_answer_can_hang_until_the_caller_gives_up(
    gmail: Gmail, steering: Steering
) -> None:
    steering.tell("faults", method="messages.send", kind="swallow", hang=0.5)
    headers = {"Authorization": f"Bearer {gmail.token}"}
    body = {"raw": "VG86IGFAYi5leGFtcGxlCgp4"}
    with pytest.raises(requests.ReadTimeout):
        requests.post(
            f"{gmail.origin}/gmail/v1/users/me/messages/send",
            json=body, headers=headers, timeout=0.2,
        )  # fmt: skip
    assert len(steering.accepted()) == 1


@pytest.mark.parametrize(
    ("kind", "code", "error"),
    [
        ("revoked", 400, "invalid_grant"),
        ("500-before", 500, "internal_failure"),
        ("503-after", 503, "internal_failure"),
        ("429", 429, "rate_limit_exceeded"),
        ("refuse", 400, "invalid_request"),
    ],
)
def test_the_token_endpoint_fails_in_the_words_of_oauth(
    app: App, steering: Steering, kind: str, code: int, error: str
) -> None:
    token = steering.tell("tokens", email=OFFICE, scopes=FULL)["refresh_token"]
    steering.tell("faults", method="token", kind=kind, account=OFFICE)
    answer = app.refresh(token)
    assert (answer.status_code, answer.json()["error"]) == (code, error)
    assert app.refresh(token).status_code == 200


def test_a_fault_that_makes_no_sense_is_refused(steering: Steering) -> None:
    for told in ({"kind": "spam"}, {"kind": "429", "times": "many"}, {"kind": "429", "often": 2}):
        answer = requests.post(f"{steering.origin}/_sandbox/faults", json=told, timeout=5)
        assert answer.status_code == 400, told
        assert answer.json()["error"]


def test_one_draft_sent_by_many_at_once_leaves_once(gmail: Gmail, steering: Steering) -> None:
    draft = gmail.draft(letter())

    def send(_: int) -> int:
        own = Gmail(gmail.origin, gmail.token)
        return own.call("POST", "/drafts/send", json={"id": draft}).status_code

    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(send, range(8)))
    assert sorted(codes) == [200] + [404] * 7
    assert len(steering.accepted()) == 1
