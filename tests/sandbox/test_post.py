"""The local mail server over HTTP: what it accepted, who has an account, what is to go wrong."""

from __future__ import annotations

import contextlib
import smtplib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from portal.sandbox.post import Post
from portal.sandbox.post.app import PostOffice
from portal.sandbox.post.desk import Desk
from tests.sandbox.visitor import OFFICE, Visitor, letter, letter_with_pdf

SUE = "sue@homes.example"
PASSWORD = "bright-spark-mail"


@dataclass
class Server:
    """A server under steering, and a client that has logged in."""

    post: Post
    url: str

    def tell(self, what: str, **words: Any) -> Any:
        answer = requests.post(f"{self.url}/_sandbox/{what}", json=words, timeout=5)
        assert answer.ok, answer.text
        return answer.json()

    def ask(self, what: str) -> Any:
        return requests.get(f"{self.url}/_sandbox/{what}", timeout=5).json()

    @contextlib.contextmanager
    def line(self, user: str = OFFICE, password: str = PASSWORD) -> Iterator[smtplib.SMTP_SSL]:
        trusted = ssl.create_default_context(cafile=str(self.post.authority))
        line = smtplib.SMTP_SSL("127.0.0.1", self.post.tls_port, context=trusted, timeout=5)
        try:
            line.login(user, password)
            yield line
        finally:
            line.close()

    def send(self, user: str = OFFICE, raw: bytes | None = None) -> None:
        with self.line(user) as line:
            line.sendmail(user, [SUE], raw or letter())


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    desk = Desk(PASSWORD)
    with Post(desk=desk) as post, PostOffice(desk, where="127.0.0.1, port 8027") as office:
        yield Server(post, office.url)


@pytest.fixture
def server(running: Server) -> Server:
    running.tell("reset")
    return running


def test_it_tells_what_it_accepted_and_how_to_steer_it(server: Server) -> None:
    server.send(raw=letter(X_Sendwright_Dispatch="7f3a"))
    [one] = server.ask("accepted")
    assert (one["mailbox"], one["envelope"]) == (OFFICE, {"from": OFFICE, "to": [SUE]})
    assert (one["headers"]["X-Sendwright-Dispatch"], one["subject"]) == ("7f3a", "INV-0042")
    assert server.ask(f"accepted?after={one['number']}") == []
    assert server.ask("state")["accepted"] == 1
    assert {"POST /_sandbox/faults", "POST /_sandbox/revoke"} <= set(server.ask(""))


def test_what_goes_wrong_for_one_account_goes_well_for_another(server: Server) -> None:
    server.tell("faults", kind="later", method="MAIL", account=OFFICE)
    server.send(SUE)
    with server.line() as line:
        assert line.docmd("MAIL", f"FROM:<{OFFICE}>")[0] == 451
        assert line.docmd("MAIL", f"FROM:<{OFFICE}>")[0] == 250
    listed = server.ask("faults")
    assert [(one["method"], one["account"]) for one in listed["log"]] == [("MAIL", OFFICE)]


@pytest.mark.parametrize(
    ("kind", "taken"), [("cut-before", 0), ("cut-after", 1), ("swallow", 1), ("swallow-before", 0)]
)
def test_a_lost_answer_says_nothing_of_whether_it_was_taken(
    server: Server, kind: str, taken: int
) -> None:
    server.tell("faults", kind=kind, method=".")
    with pytest.raises(smtplib.SMTPServerDisconnected):
        server.send()
    assert len(server.ask("accepted")) == taken


@pytest.mark.parametrize(
    ("kind", "code"), [("later", 451), ("too-many", 450), ("closing", 421), ("refuse", 554)]
)
def test_a_reply_that_is_no_yes_means_that_nothing_was_taken(
    server: Server, kind: str, code: int
) -> None:
    server.tell("faults", kind=kind, method=".")
    with pytest.raises(smtplib.SMTPDataError) as refused:
        server.send()
    assert refused.value.smtp_code == code and server.ask("accepted") == []


def test_a_changed_password_cuts_off_whoever_is_logged_in(server: Server) -> None:
    with server.line(SUE) as other, server.line() as line:
        made = server.tell("revoke", email=OFFICE)["password"]
        with pytest.raises(smtplib.SMTPServerDisconnected):
            line.noop()
        assert other.noop()[0] == 250
    with pytest.raises(smtplib.SMTPAuthenticationError), server.line():
        pass
    with server.line(password=made) as line:
        assert line.noop()[0] == 250


def test_the_password_can_be_called_wrong_for_one_of_them(server: Server) -> None:
    server.tell("faults", kind="log-in-refused", method="AUTH", account=OFFICE)
    with server.line(SUE) as other:
        assert other.noop()[0] == 250
    with server.line() as line:  # the client tries its other way, and that goes well
        assert line.noop()[0] == 250
    assert [one["account"] for one in server.ask("faults")["log"]] == [OFFICE]


def test_people_open_what_was_accepted(server: Server) -> None:
    visitor = Visitor(server.url)
    visitor.open("/")
    assert visitor.page is not None
    assert "Nothing was accepted yet." in visitor.page.text
    assert f"password {PASSWORD}" in visitor.page.text
    server.send(raw=letter_with_pdf())
    visitor.open("/")
    visitor.press("INV-0042")
    assert visitor.page.title == "INV-0042 – due"
    assert "Logged in as " + OFFICE in visitor.page.text
    link = visitor.page.soup.select_one(".attachments a")
    assert link is not None
    got = requests.get(f"{server.url}{link['href']}", timeout=5)
    assert got.content == b"%PDF-1.7 pretend"
    frame = visitor.page.soup.iframe
    assert frame is not None and frame.has_attr("sandbox")
    assert requests.get(f"{server.url}/message/9", timeout=5).status_code == 404


def test_after_a_start_what_it_accepted_is_there_again(server: Server, tmp_path: Path) -> None:
    before = Desk(kept_in=tmp_path)
    before.accept(OFFICE, OFFICE, [SUE], letter())
    again = Desk(kept_in=tmp_path)
    assert [one.raw for one in again.accepted] == [letter()]
    assert again.accept(OFFICE, OFFICE, [SUE], letter()).number == 2
    assert again.forget() == 2 and not list(tmp_path.iterdir())
