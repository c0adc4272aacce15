"""Mail however odd: the local Microsoft reads it, shows it, sends it or refuses it, and goes on."""

import requests
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from portal.sandbox.microsoft import MicrosoftServer
from tests.sandbox.microsoft.client import OFFICE, Microsoft

FIELDS = ("From", "To", "Cc", "Subject", "Content-Type", "Content-Disposition", "References")
ODD = (
    *("=?utf-8?b?!!!?=", "=?nope?q?=FF?=", "multipart/mixed; boundary=b", "message/rfc822"),
    *("text/html; charset=a\x00b", "attachment; filename*=utf-8''%ff", "mary.lee@homes.example"),
    *("ghost@homes.example", "a@b,,;:", "<", "\r\n folded", "\xff\xfe", "\x00"),
)


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@example(fields=[("To", ["=?nope?q?=FF?=", "ghost@homes.example"])], body=b"x")
@example(fields=[("To", ["mary.lee@homes.example"]), ("From", ["<"])], body=b"x")
@given(
    fields=st.lists(st.tuples(st.sampled_from(FIELDS), st.lists(st.sampled_from(ODD)))),
    body=st.one_of(st.binary(max_size=40), st.just(b"--b\r\n\r\nx\r\n--b--")),
)
def test_no_mail_however_odd_upsets_anything(
    local_microsoft: MicrosoftServer, fields: list[tuple[str, list[str]]], body: bytes
) -> None:
    local = local_microsoft.microsoft
    local.reset()
    local.settings.send_delay, local.settings.messages_per_minute = 0.0, 0
    microsoft = Microsoft(local_microsoft.url)
    graph = microsoft.graph()
    head = "".join(f"{name}: {''.join(values)}\r\n" for name, values in fields)
    draft = graph.draft(head.encode("latin-1") + b"\r\n" + body)["id"]
    file = {"name": "a.txt", "contentBytes": "YQ=="}
    answers = [
        graph.call("GET", f"/messages/{draft}?$expand=attachments"),
        graph.call("PATCH", f"/messages/{draft}", json={"subject": "New"}),
        graph.call("PATCH", f"/messages/{draft}", json={"body": {"content": "New"}}),
        graph.call("POST", f"/messages/{draft}/attachments", json=file),
        graph.send(draft),
        graph.call("GET", "/messages"),
    ]
    assert all(one.status_code < 500 for one in answers), [one.text for one in answers]
    microsoft.ask("accepted?raw=1")
    for place in ("drafts", "sentitems", "", f"id/{draft}"):
        page = requests.get(f"{local_microsoft.url}/mail/{OFFICE}/{place}", timeout=5)
        assert page.status_code == 200, place
