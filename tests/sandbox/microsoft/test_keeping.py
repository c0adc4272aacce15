"""What a local Microsoft keeps over a restart, what it forgets, and how it is started."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from portal.sandbox.microsoft import MicrosoftServer, MicrosoftSettings
from tests.sandbox.microsoft.client import OFFICE, Graph, Microsoft, SignIn
from tests.sandbox.visitor import letter

ROOT = Path(__file__).resolve().parents[3]


def test_with_a_store_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    settings = MicrosoftSettings(store_path=str(tmp_path / "new" / "m.sqlite3"), send_delay=0.0)
    with MicrosoftServer(settings) as first:
        tokens = SignIn(first.url).sign_in()
        mailbox = Graph(first.url, tokens["access_token"])
        sent, draft = mailbox.sent(letter()), mailbox.draft(letter())["id"]
        keys = requests.get(f"{first.url}/common/discovery/v2.0/keys", timeout=5).json()["keys"]
    with MicrosoftServer(settings) as second:
        mailbox = Graph(second.url, tokens["access_token"])
        assert not mailbox.get(f"/messages/{sent}")["isDraft"]
        assert mailbox.get(f"/messages/{draft}")["isDraft"]
        now = requests.get(f"{second.url}/common/discovery/v2.0/keys", timeout=5).json()["keys"]
        assert [one["n"] for one in now] == [one["n"] for one in keys]
        assert SignIn(second.url).refresh(tokens["refresh_token"]).status_code == 200
        assert len(Microsoft(second.url).accepted()) == 1


def test_a_reset_brings_the_first_day_back(graph: Graph, microsoft: Microsoft) -> None:
    graph.sent(letter())
    microsoft.tell("accounts", email="new@brightspark.example", aliases=["n@brightspark.example"])
    microsoft.tell("reset", mail_only=True)
    assert graph.get("/messages")["value"] == [] and microsoft.accepted() == []
    microsoft.tell("clock", advance=100)
    microsoft.tell("reset")
    assert graph.call("GET", "").status_code == 401
    state = microsoft.ask("state")
    assert (state["tokens"], state["clock_offset"], len(state["accounts"])) == (0, 0, 10)


def test_steering_explains_itself_and_refuses_what_makes_no_sense(microsoft: Microsoft) -> None:
    index = microsoft.ask("")
    assert "POST /_sandbox/faults" in index and "POST /_sandbox/tenants" in index
    assert all(index.values())
    for path, told in (
        ("faults", {"kind": "spam"}),
        ("settings", {"send_delay": "long"}),
        ("rights", {"account": OFFICE, "mailbox": OFFICE, "kind": "spam"}),
        ("tokens", {"email": "nobody@x.example"}),
        ("tokens", {"email": OFFICE, "scopes": "spam"}),
    ):
        answer = requests.post(f"{microsoft.origin}/_sandbox/{path}", json=told, timeout=5)
        assert answer.status_code == 400 and answer.json()["error"], path


def test_a_draft_can_be_thrown_away_as_by_its_owner(graph: Graph, microsoft: Microsoft) -> None:
    draft = graph.draft(letter())["id"]
    assert [one["id"] for one in microsoft.ask("state")["drafts"]] == [draft]
    answer = requests.delete(f"{microsoft.origin}/_sandbox/drafts/{draft}", timeout=5)
    assert answer.status_code == 200 and microsoft.ask("state")["drafts"] == []


def test_a_page_of_another_site_can_press_no_button(microsoft: Microsoft) -> None:
    headers = {"Sec-Fetch-Site": "cross-site"}
    answer = requests.post(f"{microsoft.origin}/_sandbox/reset", headers=headers, timeout=5)
    assert answer.status_code == 403


def test_it_starts_as_a_program_and_ends_when_told(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "portal.sandbox.microsoft", "--port", "0"]
    program += ["--store", str(tmp_path / "microsoft.sqlite3"), "--client-id", "own-id"]
    with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"Local Microsoft on (http://127\.0\.0\.1:\d+)", line)
        assert found, line
        assert requests.get(f"{found[1]}/common/discovery/v2.0/keys", timeout=5).json()["keys"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == 0


@pytest.mark.parametrize("path", ["/nowhere", "/mail/nobody@x.example/"])
def test_what_is_not_there_is_not_found(microsoft: Microsoft, path: str) -> None:
    assert requests.get(microsoft.origin + path, timeout=5).status_code == 404
