"""Steps: what people do in a browser, for every story that begins alike."""

import re
from collections.abc import Callable
from typing import Any, Protocol

import requests
from playwright.sync_api import Locator, Page, expect

from portal.seeds import PASSWORD
from tests.factories import OFFICE
from tests.servers import Live

#: Milliseconds that anything may take which has to come by itself.
PATIENCE = 20_000

#: Lets one of the demo company's people sit down: by their first name, at a screen this wide.
AtWork = Callable[[str, int], Page]


class NewPage(Protocol):
    """Opens a browser that nobody has used: so wide and so high."""

    def __call__(self, width: int, height: int = 800) -> Page: ...


def sign_in(page: Page, demo: Live, first: str, password: str = PASSWORD) -> None:
    page.goto(f"{demo.url}/sign-in")
    page.get_by_label("E-mail address").fill(f"{first}@brightspark.example")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{demo.url}/")


# -- connecting ------------------------------------------------------------------------------------


def connect_google(demo: Live, page: Page, account: str = OFFICE, purpose: str = "company") -> None:
    page.goto(f"{demo.url}/mailboxes/new?purpose={purpose}")
    go_to_google(page)
    pass_google(page, account)
    expect(page.locator("main")).to_contain_text(f"Connected: {account}")


def go_to_google(page: Page) -> None:
    page.get_by_role("button", name="Continue to Google").click()


def pass_google(page: Page, account: str, *, untick: str = "", other: bool = False) -> None:
    """Account chooser, the unverified-app page, and consent."""
    chooser = page.get_by_role("heading", name="Choose an account")
    advanced = page.get_by_text("Advanced")
    chooser.or_(advanced).first.wait_for()
    if other and page.get_by_role("link", name="Use another account").count():
        page.get_by_role("link", name="Use another account").click()
    if chooser.count():
        page.get_by_role("button", name=re.compile(re.escape(account))).click()
    advanced.click()
    page.get_by_role("button", name=re.compile("Go to Sendwright")).click()
    if untick:
        page.locator(f"[name=granted][value$='{untick}']").uncheck()
    page.get_by_role("button", name="Continue").click()


def connect_microsoft(demo: Live, page: Page, account: str = OFFICE) -> None:
    page.goto(f"{demo.url}/mailboxes/new?purpose=company")
    page.get_by_role("link", name="Microsoft 365").click()
    page.get_by_role("button", name="Continue to Microsoft").click()
    page.get_by_text(account).first.click()
    page.get_by_role("button", name="Accept").click()
    expect(page.locator("main")).to_contain_text(f"Connected: {account}")


def name_server(demo: Live, page: Page, account: str, port: int) -> None:
    """To the page of a mailbox at another provider, with this machine's server named on it."""
    page.goto(f"{demo.url}/mailboxes/new?purpose=company")
    page.get_by_role("link", name="Another provider").click()
    page.get_by_label("E-mail address").fill(account)
    page.get_by_role("button", name="Go on").click()
    page.get_by_label("Server", exact=True).fill("127.0.0.1")
    page.get_by_label("Port", exact=True).fill(str(port))


def give_password(page: Page, password: str) -> None:
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Check and connect").click()


# -- choosing and sending --------------------------------------------------------------------------


def let_come_from(demo: Live, page: Page, kind: str, mode: str, address: str = "") -> None:
    """Let documents of a kind come from whoever a mode means, or from one listed address."""
    page.goto(f"{demo.url}/settings/send-from/{kind}?mode={mode}&listed={address}")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("main")).to_contain_text("Saved.")


def send(demo: Live, page: Page, kind: str, number: str) -> Locator:
    """Send a document as it stands. Returns the card that tells what becomes of it."""
    page.goto(f"{demo.url}/documents/{kind}")
    page.get_by_role("link", name=number).click()
    page.get_by_role("link", name=re.compile("^Send ")).click()
    page.get_by_role("button", name=re.compile(f"^Send .*{number}")).click()
    return page.locator("#dispatch")


def accepted(demo: Live) -> list[dict[str, Any]]:
    """What the local Google has taken."""
    return list(requests.get(f"{demo.google.url}/_sandbox/accepted", timeout=5).json())
