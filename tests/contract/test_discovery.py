"""The local Google knows Gmail's methods by Google's own names, verbs, paths and scopes."""

import pytest

from portal.sandbox.gmail import SCOPES, blueprint
from portal.sandbox.quota import UNITS
from portal.sandbox.server import SandboxServer
from tests.contract.discovery import Notary, complaints, method_of, methods
from tests.sandbox.visitor import Steering, encoded, letter


@pytest.mark.parametrize("name", SCOPES)
def test_a_method_is_opened_by_googles_scopes_and_no_others(name: str) -> None:
    described = {one for one in methods()[name]["scopes"] if ".addons." not in one}
    assert set(SCOPES[name]) == described


@pytest.mark.parametrize("name", SCOPES)
def test_a_method_has_its_price(name: str) -> None:
    assert UNITS[name] > 0


def test_every_address_of_the_api_is_one_of_googles(watched: tuple[SandboxServer, Notary]) -> None:
    rules = [
        rule
        for rule in watched[0].app.url_map.iter_rules()
        if rule.endpoint.startswith(blueprint.name + ".")
    ]
    assert len(rules) >= len(SCOPES)
    for rule in rules:
        for verb in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            path = rule.rule.replace("<", "{").replace(">", "}")
            assert method_of(verb, path) in SCOPES, f"{verb} {rule.rule}"


@pytest.mark.parametrize(
    ("name", "code", "answer"),
    [
        ("getProfile", 200, {"emailAddress": "a@b.example", "spam": 1}),
        ("getProfile", 200, {"historyId": 12}),
        ("getProfile", 200, {"historyId": "twelve"}),
        ("messages.list", 200, {"messages": [{"id": "1", "labels": []}]}),
        ("messages.list", 200, {"resultSizeEstimate": -1}),
        ("messages.get", 200, {"raw": "a+b/c"}),
        ("settings.sendAs.list", 200, {"sendAs": [{"verificationStatus": "verified"}]}),
        ("drafts.delete", 200, {}),
        ("drafts.send", 404, {"error": "not found"}),
        ("drafts.send", 404, {"error": {"code": 404, "message": "gone", "errors": []}}),
    ],
)
def test_an_answer_that_is_not_googles_does_not_pass(name: str, code: int, answer: object) -> None:
    assert complaints(name, code, answer)


def test_every_method_answers_as_described(steering: Steering, notary: Notary) -> None:
    """Each drawn method once with success or, where Google refuses everybody, with its refusal."""
    all_scopes = "https://mail.google.com/ https://www.googleapis.com/auth/gmail.settings.sharing"
    gmail = steering.gmail(scopes=all_scopes)
    sent = gmail.send(letter(to="office@brightspark.example, ghost@homes.example"))
    first, second = gmail.draft(letter()), gmail.draft(letter())
    tom = "/settings/sendAs/tom@brightspark.example"
    message = {"message": {"raw": encoded(letter())}}
    for verb, path, body in (
        ("GET", "/profile", None),
        ("GET", "/messages?maxResults=1", None),
        ("GET", "/messages?q=nothing-like-this", None),
        ("GET", f"/messages/{sent['id']}", None),
        ("GET", f"/messages/{sent['id']}?format=raw", None),
        ("GET", f"/messages/{sent['id']}?format=metadata", None),
        ("GET", f"/messages/{sent['id']}?format=minimal", None),
        ("GET", f"/messages/{sent['id']}/attachments/none", None),
        ("GET", f"/threads/{sent['threadId']}", None),
        ("GET", "/history?startHistoryId=1000", None),
        ("GET", "/labels", None),
        ("GET", "/labels/INBOX", None),
        ("GET", "/drafts?maxResults=1", None),
        ("GET", f"/drafts/{first}", None),
        ("PUT", f"/drafts/{first}", message),
        ("POST", "/drafts/send", {"id": first}),
        ("DELETE", f"/drafts/{second}", None),
        ("GET", "/settings/sendAs", None),
        ("GET", "/settings/sendAs/office@brightspark.example", None),
        ("PATCH", "/settings/sendAs/office@brightspark.example", {"signature": "<b>B</b>"}),
        ("PUT", tom, {"displayName": "Tom"}),
        ("POST", "/settings/sendAs", {"sendAsEmail": "new@brightspark.example"}),
        ("POST", f"{tom}/verify", None),
        ("DELETE", tom, None),
    ):
        assert gmail.call(verb, path, json=body).status_code != 501, path
    assert {name for name, _ in notary.seen} == set(SCOPES)


@pytest.mark.parametrize(
    "kind",
    [
        *("refuse", "401", "revoked", "429", "rate-limit-403", "concurrent", "daily-limit"),
        *("domain-policy", "500-before", "503-before", "500-after", "503-after"),
    ],
)
def test_every_failure_has_googles_shape(steering: Steering, kind: str) -> None:
    gmail = steering.gmail()
    steering.tell("faults", method="messages.send", kind=kind)
    answer = gmail.call("POST", "/messages/send", json={"raw": encoded(letter())})
    assert answer.status_code >= 400


def test_every_refusal_has_googles_shape(steering: Steering) -> None:
    steering.tell("settings", units_per_minute=1_000, workspace_daily=1)
    gmail = steering.gmail()
    gmail.send(letter())
    for verb, path, body in (
        ("POST", "/messages/send", {"raw": encoded(letter())}),
        ("POST", "/messages/send", {}),
        ("POST", "/messages/send", {"spam": 1}),
        ("POST", "/messages/send", {"raw": encoded(letter(to=""))}),
        ("GET", "/messages?q=x", None),
        ("GET", "/messages/abc", None),
        ("GET", "/messages/!", None),
        ("GET", "/history?startHistoryId=1", None),
        ("GET", "/drafts/r1", None),
        ("GET", "/messages?maxResults=many", None),
    ):
        assert gmail.call(verb, path, json=body).status_code >= 400, path
    steering.tell("settings", units_per_minute=1)
    assert gmail.call("GET", "/drafts").status_code == 429
    gmail.token = "wrong"
    assert gmail.call("GET", "/profile").status_code == 401
    bare = gmail.session.get(f"{gmail.origin}/gmail/v1/users/me/profile", timeout=5)
    assert bare.status_code == 401
    assert steering.gmail(scopes="openid email").call("GET", "/profile").status_code == 403
