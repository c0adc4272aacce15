"""The local Microsoft's pages in a real browser: readable by all, and the way to consent."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.sandbox.microsoft.client import ACCOUNTS, NIA, OFFICE, OLIVE, ORDERS, Graph, SignIn
from tests.sandbox.visitor import letter, letter_with_pdf

#: A sandboxed frame says so of the script in the letter it shows: that is its task.
KNOWN = "allow-scripts"


def paths(graph: Graph, sign_in: SignIn) -> list[str]:
    """Every page there is, with something on it."""
    sent, draft = graph.sent(letter_with_pdf()), graph.draft(letter())["id"]
    graph.sent(letter(to="ghost@homes.example"))
    assert graph.call("DELETE", f"/messages/{draft}").status_code == 204
    graph.draft(letter())
    query = "&".join(f"{name}={value}" for name, value in sign_in.ask().items())
    base, sign = f"/mail/{OFFICE}", f"/organizations/oauth2/v2.0/authorize?{query}"
    return [
        *("/", f"{base}/", f"{base}/sentitems", f"{base}/drafts", f"{base}/deleteditems"),
        *(f"{base}/id/{sent}", f"/mail/{ACCOUNTS}/"),
        *(sign, f"{sign}&login_hint={NIA}", f"{sign}&login_hint={OLIVE}"),
        *(f"{sign}&login_hint={ORDERS}", f"{sign}&login_hint={ACCOUNTS}"),
        f"/organizations/adminconsent?{query}",
        f"/signin/chosen?{query}&tenant=organizations&for_all=1&account={OLIVE}",
        f"/signin/chosen?{query}&tenant=organizations&for_all=1&account={OFFICE}",
    ]


@pytest.mark.parametrize(("width", "theme"), [(360, "dark"), (1280, "light")])
def test_every_page_can_be_read_by_all(
    browser: Browser, graph: Graph, sign_in: SignIn, width: int, theme: str
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme="dark" if theme == "dark" else "light",
    )
    page, said = context.new_page(), list[str]()
    page.on("console", lambda words: said.append(words.text) if words.type == "error" else None)
    for path in paths(graph, sign_in):
        page.goto(graph.origin + path)
        found = Axe().run(page).response["violations"]
        assert not [(one["id"], [node["html"] for node in one["nodes"]]) for one in found], path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    refused = "400 (BAD REQUEST)"  # the page for a shared mailbox, which nobody signs in as
    assert not [words for words in said if KNOWN not in words and refused not in words]
    context.close()


def test_the_way_to_consent_works_by_keyboard_and_returns_to_the_app(
    page: Page, sign_in: SignIn
) -> None:
    page.route("http://127.0.0.1:9/**", lambda route: route.fulfill(body="back at the app"))
    query = "&".join(f"{name}={value}" for name, value in sign_in.ask().items())
    page.goto(f"{sign_in.origin}/organizations/oauth2/v2.0/authorize?{query}")
    page.get_by_role("button", name=OFFICE).press("Enter")
    page.get_by_text("Send mail as you", exact=True).press("Enter")
    expect(page.get_by_text("Allows the app to send mail as you.")).to_be_visible()
    page.get_by_role("button", name="Accept").press("Enter")
    expect(page.get_by_text("back at the app")).to_be_visible()
    assert "code=" in page.url
