"""What a local Google keeps over a restart, what it forgets, and how it is started."""

import json
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import requests

from portal.sandbox.server import SandboxServer
from portal.sandbox.settings import SandboxSettings
from tests.sandbox.visitor import OFFICE, App, Gmail, Steering, letter

ROOT = Path(__file__).resolve().parents[2]


def test_with_a_store_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    settings = SandboxSettings(store_path=str(tmp_path / "new" / "google.sqlite3"))
    with SandboxServer(settings) as first:
        tokens = App(first.url).sign_in()
        mailbox = Gmail(first.url, tokens["access_token"])
        sent, draft = mailbox.send(letter()), mailbox.draft(letter())
        Steering(first.url).tell("aliases", account=OFFICE, email="new@brightspark.example")
        keys = requests.get(f"{first.url}/oauth2/v3/certs", timeout=5).json()
    with SandboxServer(settings) as second:
        mailbox = Gmail(second.url, tokens["access_token"])
        assert mailbox.get(f"/messages/{sent['id']}", format="minimal")["id"] == sent["id"]
        assert mailbox.has_draft(draft)
        assert len(mailbox.get("/settings/sendAs")["sendAs"]) == 4
        assert requests.get(f"{second.url}/oauth2/v3/certs", timeout=5).json() == keys
        assert App(second.url).refresh(tokens["refresh_token"]).status_code == 200
        assert len(Steering(second.url).accepted()) == 1


def test_without_a_store_two_local_googles_know_nothing_of_each_other() -> None:
    with SandboxServer() as one, SandboxServer() as other:
        token = Steering(one.url).gmail().token
        assert Gmail(one.url, token).call("GET", "/profile").status_code == 200
        assert Gmail(other.url, token).call("GET", "/profile").status_code == 401


def test_a_reset_brings_the_first_day_back(gmail: Gmail, steering: Steering) -> None:
    gmail.send(letter())
    steering.tell("aliases", account=OFFICE, email="new@brightspark.example")
    steering.tell("clock", advance=100)
    steering.tell("reset")
    assert gmail.call("GET", "/profile").status_code == 401
    state = steering.ask("state")
    assert (state["accepted"], state["tokens"], state["clock_offset"]) == (0, 0, 0)
    office = next(one for one in state["accounts"] if one["email"] == OFFICE)
    assert len(office["addresses"]) == 3


def test_a_reset_of_the_mail_keeps_who_is_connected(gmail: Gmail, steering: Steering) -> None:
    gmail.send(letter())
    gmail.draft(letter())
    steering.tell("reset", mail_only=True)
    assert gmail.get("/messages") == {"resultSizeEstimate": 0}
    assert gmail.get("/drafts") == {"resultSizeEstimate": 0}
    assert steering.ask("state")["accepted"] == 0


def test_accepted_mail_can_be_asked_for_from_where_one_left_off(
    gmail: Gmail, steering: Steering
) -> None:
    gmail.send(letter())
    (first,) = steering.accepted()
    gmail.send(letter(Cc="max@elsewhere.example", X_Sendwright_Dispatch="7f3a"))
    (second,) = steering.ask(f"accepted?after={first['number']}&mailbox={OFFICE}")
    assert second["cc"] == "max@elsewhere.example"
    assert second["headers"]["X-Sendwright-Dispatch"] == "7f3a"
    assert "raw" not in second
    requests.delete(f"{steering.origin}/_sandbox/accepted", timeout=5)
    assert steering.accepted() == []


def test_a_draft_can_be_thrown_away_as_by_its_owner(gmail: Gmail, steering: Steering) -> None:
    draft = gmail.draft(letter())
    assert [one["id"] for one in steering.ask("state")["drafts"]] == [draft]
    answer = requests.delete(f"{steering.origin}/_sandbox/drafts/{draft}", timeout=5)
    assert answer.status_code == 200
    assert not gmail.has_draft(draft)


def test_it_starts_as_a_program_and_ends_when_told(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "portal.sandbox", "--port", "0"]
    program += ["--store", str(tmp_path / "google.sqlite3"), "--client-id", "own-id"]
    with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert found, line
        known = requests.get(f"{found[0]}/.well-known/openid-configuration", timeout=5).json()
        assert known["issuer"] == found[0]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == 0


def test_steering_explains_itself(steering: Steering) -> None:
    index = steering.ask("")
    assert "POST /_sandbox/faults" in index and "GET /_sandbox/accepted" in index
    assert all(index.values())
    assert steering.ask("faults")["kinds"]["swallow"]["acts"] is True


def test_a_page_of_another_site_can_press_no_button(steering: Steering) -> None:
    headers = {"Sec-Fetch-Site": "cross-site"}
    answer = requests.post(f"{steering.origin}/_sandbox/reset", headers=headers, timeout=5)
    assert answer.status_code == 403


def test_ending_in_the_middle_of_a_call_does_nothing_by_halves(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with SandboxServer() as server:
        steering = Steering(server.url)
        mailbox = steering.gmail()
        steering.tell("faults", method="messages.send", kind="delay", delay=0.3)
        caller = threading.Thread(target=mailbox.call, args=("POST", "/messages/send"), daemon=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(threading, "excepthook", lambda _: None)
            caller.start()
            time.sleep(0.1)
            server.stop()
            caller.join(timeout=5)
            time.sleep(0.4)
    assert "Traceback" not in capfd.readouterr().err
    assert not caplog.records


def test_a_connection_serves_many_calls(gmail: Gmail) -> None:
    for _ in range(3):
        gmail.send(letter())
    pools = gmail.session.get_adapter(gmail.origin).poolmanager.pools  # type: ignore[attr-defined]
    (pool,) = map(pools.get, pools.keys())
    assert (pool.num_connections, pool.num_requests) == (1, 3)


def test_a_chunked_body_is_read_too(gmail: Gmail) -> None:
    def pieces() -> object:
        yield json.dumps({"message": {"raw": ""}})[:10].encode()
        yield json.dumps({"message": {"raw": ""}})[10:].encode()

    answer = gmail.call("POST", "/drafts", data=pieces())
    assert answer.json()["error"]["errors"][0]["reason"] == "invalidArgument"
