"""Mail pages: what a person sees, and that mail itself can do nothing to her."""

import base64

import pytest
import requests

from tests.sandbox.visitor import OFFICE, Gmail, Steering, Visitor, encoded, letter, letter_with_pdf

BASE = f"/mail/u/{OFFICE}"
EVIL = """From: Mallory <m@rival.example>
To: office@brightspark.example
Subject: <script>alert(1)</script>
Content-Type: text/plain

<img src=x onerror=alert(1)> https://rival.example/"onmouseover="alert(1)
javascript:alert(1)
"""


def test_the_front_page_lists_every_account_and_its_new_mail(
    visitor: Visitor, gmail: Gmail
) -> None:
    gmail.send(letter())
    visitor.open("/")
    assert visitor.page and "Local Google , a stand-in for trying Sendwright" in visitor.page.text
    assert len(visitor.page.soup.select(".people li")) == 8
    visitor.press("Mary Lee")
    assert visitor.page.title == "Inbox"
    assert "INV-0042" in visitor.page.text


def test_a_message_shows_who_it_is_from_and_gives_its_attachments(
    visitor: Visitor, gmail: Gmail
) -> None:
    gmail.send(letter_with_pdf())
    visitor.open(f"{BASE}/sent")
    visitor.press("INV-0042")
    assert visitor.page and visitor.page.title == "INV-0042 – due"
    assert visitor.page.soup.select_one(".from dd").text == OFFICE  # type: ignore[union-attr]
    assert "X-Sendwright-Dispatch" in visitor.page.text
    here = visitor.page.url
    link = visitor.page.soup.select_one(".attachments a")
    assert link and link.get_text(" ", strip=True).startswith("INV-0042 – Lee.pdf")
    got = requests.get(f"{visitor.origin}{link['href']}", timeout=5)
    assert got.content == b"%PDF-1.7 pretend"
    assert got.headers["Content-Disposition"].startswith("attachment;")
    original = requests.get(f"{here}/original", timeout=5)
    assert original.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert b"X-Sendwright-Dispatch: 7f3a" in original.content


def test_html_mail_is_shown_in_a_frame_that_can_do_nothing(visitor: Visitor, gmail: Gmail) -> None:
    sent = gmail.send(letter_with_pdf())
    visitor.open(f"{BASE}/message/{sent['id']}")
    assert visitor.page
    frame = visitor.page.soup.iframe
    assert frame and frame.has_attr("sandbox") and not frame["sandbox"]
    html = requests.get(f"{visitor.origin}{frame['src']}", timeout=5)
    policy = html.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox;") and "script" not in policy
    assert "default-src 'none'" in policy


def test_text_and_subjects_are_only_text(visitor: Visitor, steering: Steering) -> None:
    raw = EVIL.replace("\n", "\r\n").encode()
    got = steering.tell("deliver", account=OFFICE, raw=encoded(raw))
    visitor.open(f"{BASE}/message/{got['id']}")
    assert visitor.page
    soup = visitor.page.soup
    assert visitor.page.title == "<script>alert(1)</script>"
    assert len(soup.select("script")) == 1 and not soup.select("img, [onmouseover], [onerror]")
    (link,) = soup.select(".text a")
    assert str(link["href"]).startswith('https://rival.example/"onmouseover=')


@pytest.mark.parametrize(
    "path", ["/", f"{BASE}/", f"{BASE}/settings/accounts", "/o/oauth2/v2/auth?client_id=x"]
)
def test_pages_allow_no_inline_script_or_style(visitor: Visitor, path: str) -> None:
    visitor.open(path)
    assert visitor.page
    assert not visitor.page.soup.select("[style], [onclick], style, script:not([src])")
    answer = requests.get(visitor.origin + path, timeout=5)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_long_folders_come_in_pages(visitor: Visitor, gmail: Gmail, steering: Steering) -> None:
    steering.tell("settings", units_per_minute=0)
    for number in range(51):
        gmail.send(letter(body=f"number {number}."))
    visitor.open(f"{BASE}/sent")
    assert visitor.page and "number 50." in visitor.page.text
    assert "number 0." not in visitor.page.text
    visitor.press("Older mail")
    assert "number 0." in visitor.page.text


def test_links_that_name_an_account_otherwise_find_it(visitor: Visitor) -> None:
    for path in ("/mail/u/0/", f"/mail/?authuser={OFFICE}"):
        visitor.open(path)
        assert visitor.page and visitor.page.url.endswith(f"{BASE}/")


@pytest.mark.parametrize(
    "path",
    [
        "/mail/u/nobody@x.example/",
        "/mail/u/99/",
        f"{BASE}/message/abc",
        f"{BASE}/settings/accounts/nobody@x.example/verify",
        "/mail/confirm/nothing",
    ],
)
def test_what_is_not_there_is_not_found(visitor: Visitor, path: str) -> None:
    assert requests.get(visitor.origin + path, timeout=5).status_code == 404


def test_looking_at_pages_changes_nothing(visitor: Visitor, gmail: Gmail) -> None:
    gmail.send(letter(to=OFFICE))
    before = gmail.get("/profile")["historyId"]
    message = gmail.get("/messages")["messages"][0]["id"]
    for path in ("/", f"{BASE}/", f"{BASE}/message/{message}", f"{BASE}/settings/accounts/add"):
        visitor.open(path)
    assert gmail.get("/profile")["historyId"] == before
    assert gmail.get("/labels/INBOX")["messagesUnread"] == 1


def test_a_mail_without_parts_or_text_is_shown_all_the_same(
    visitor: Visitor, steering: Steering
) -> None:
    for raw in (b"", b"\r\n", b"Subject: x\r\n\r\n", b"Content-Type: a;;b=\r\n\r\nz", b"\xff\xfe"):
        got = steering.tell("deliver", account=OFFICE, raw=base64.urlsafe_b64encode(raw).decode())
        visitor.open(f"{BASE}/message/{got['id']}")
        assert visitor.page and visitor.page.title
    visitor.open(f"{BASE}/")
    assert visitor.page and visitor.page.title == "Inbox"
