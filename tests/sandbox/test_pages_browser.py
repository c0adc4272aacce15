"""The local Google's pages in a real browser: readable by all, and its few lines of script."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.sandbox.visitor import OFFICE, App, Gmail, Steering, Visitor, letter, letter_with_pdf

BASE = f"/mail/u/{OFFICE}"
NEW = "accounts@brightspark.example"
#: A sandboxed frame says so of the script in the letter it shows: that is its task.
KNOWN = "allow-scripts"


def paths(visitor: Visitor, gmail: Gmail, steering: Steering, app: App) -> list[str]:
    """Every page there is, with something on it."""
    sent = gmail.send(letter_with_pdf())
    gmail.send(letter(to="ghost@homes.example"))
    bounce = gmail.get("/messages", labelIds="INBOX")["messages"][0]["id"]
    visitor.open(f"{BASE}/settings/accounts/add")
    visitor.press("Next Step", {"name": "Accounts", "email": NEW})
    visitor.press("Send Verification")
    state = steering.ask("state")["accounts"][0]
    link = next(one["link"] for one in state["addresses"] if one["email"] == NEW)
    query = "&".join(f"{name}={value}" for name, value in app.ask().items())
    return [
        *("/", f"{BASE}/", f"{BASE}/sent", f"{BASE}/drafts", link),
        *(f"{BASE}/message/{sent['id']}", f"{BASE}/message/{bounce}"),
        *(f"{BASE}/settings/accounts", f"{BASE}/settings/accounts/add"),
        f"{BASE}/settings/accounts/{NEW}/verify",
        f"/o/oauth2/v2/auth?{query}",
        f"/o/oauth2/v2/auth/chosen?{query}&account={OFFICE}",
        f"/o/oauth2/v2/auth/consent?{query}&account={OFFICE}",
    ]


@pytest.mark.parametrize(("width", "theme"), [(360, "dark"), (1280, "light")])
def test_every_page_can_be_read_by_all(
    browser: Browser, visitor: Visitor, gmail: Gmail, steering: Steering, app: App,
    width: int, theme: str,
) -> None:  # fmt: skip
    wanted = paths(visitor, gmail, steering, app)
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme="dark" if theme == "dark" else "light",
    )
    page, said = context.new_page(), list[str]()
    page.on("console", lambda words: said.append(words.text) if words.type == "error" else None)
    for path in wanted:
        page.goto(visitor.origin + path)
        found = Axe().run(page).response["violations"]
        assert not [(one["id"], [node["html"] for node in one["nodes"]]) for one in found], path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    assert not [words for words in said if KNOWN not in words]
    context.close()


def test_gmails_own_links_lead_to_their_pages(page: Page, visitor: Visitor, gmail: Gmail) -> None:
    sent = gmail.send(letter())
    for place, path in (
        ("#settings/accounts", "settings/accounts"),
        ("#sent", "sent"),
        (f"#sent/{sent['id']}", f"message/{sent['id']}"),
        (f"#all/{sent['id']}", f"message/{sent['id']}"),
    ):
        page.goto(f"{visitor.origin}{BASE}/{place}")
        page.wait_for_url(f"**{BASE}/{path}")
        page.goto("about:blank")


def test_select_all_follows_its_boxes_and_leads_them(
    page: Page, visitor: Visitor, app: App
) -> None:
    query = "&".join(f"{name}={value}" for name, value in app.ask().items())
    page.goto(f"{visitor.origin}/o/oauth2/v2/auth/consent?{query}&account={OFFICE}")
    every, boxes = page.get_by_label("Select all"), page.locator("input[name=granted]")
    expect(every).to_be_checked()
    boxes.nth(1).uncheck()
    expect(every).not_to_be_checked()
    every.check()
    expect(boxes.nth(1)).to_be_checked()
    every.uncheck()
    expect(page.locator("input[name=granted]:checked")).to_have_count(0)


def test_the_way_to_consent_works_by_keyboard_and_returns_to_the_app(
    page: Page, visitor: Visitor, app: App
) -> None:
    page.route("http://127.0.0.1:9/**", lambda route: route.fulfill(body="back at the app"))
    query = "&".join(f"{name}={value}" for name, value in app.ask().items())
    page.goto(f"{visitor.origin}/o/oauth2/v2/auth?{query}")
    page.get_by_role("button", name=OFFICE).press("Enter")
    page.get_by_text("Advanced").press("Enter")
    page.get_by_role("button", name="Go to Sendwright (unsafe)").press("Enter")
    page.get_by_role("button", name="Continue").press("Enter")
    expect(page.get_by_text("back at the app")).to_be_visible()
    assert "code=4" in page.url
