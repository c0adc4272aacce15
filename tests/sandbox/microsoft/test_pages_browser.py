"""The local Microsoft's pages in a real browser: readable by all, and the way to consent."""

from typing import Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.sandbox.microsoft.client import ACCOUNTS, NIA, OFFICE, OLIVE, ORDERS, Graph, SignIn
from tests.sandbox.visitor import letter, letter_with_pdf

#: A sandboxed frame says so of the script in the letter it shows: that is its task.
KNOWN = "allow-scripts"
SEATS: tuple[tuple[int, Literal["dark", "light"]], ...] = ((360, "dark"), (1280, "light"))


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


def test_every_page_can_be_read_by_all(browser: Browser, graph: Graph, sign_in: SignIn) -> None:
    """On a phone in the dark and on a desk in the light, page about: they share one style."""
    said = list[str]()
    seats: list[tuple[Page, int]] = []
    for width, scheme in SEATS:
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        seats.append((context.new_page(), width))
        seats[-1][0].on("console", lambda words: said.append(f"{words.type}: {words.text}"))
    for number, path in enumerate(paths(graph, sign_in)):
        page, width = seats[number % len(seats)]
        page.goto(graph.origin + path)
        found = Axe().run(page).response["violations"]
        assert not [(one["id"], [node["html"] for node in one["nodes"]]) for one in found], path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    refused = "400 (BAD REQUEST)"  # the page for a shared mailbox, which nobody signs in as
    wrong = [words for words in said if words.startswith("error")]
    assert not [words for words in wrong if KNOWN not in words and refused not in words]
    for page, _ in seats:
        page.context.close()


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
