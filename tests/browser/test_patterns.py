"""Every part of the pages can be read, reached and used: by eye, by keyboard, by screen reader."""

import gzip
import re
from collections.abc import Iterator
from threading import Thread

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from werkzeug.serving import make_server

from portal.config import ROOT
from tests.patterns.stub import ERRORS, PEOPLE_PAGES, make_app


@pytest.fixture(scope="module")
def patterns() -> Iterator[str]:
    """The pattern pages over HTTP, on a free port."""
    server = make_server("127.0.0.1", 0, make_app(), threaded=True)
    serving = Thread(target=server.serve_forever, daemon=True)
    serving.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    serving.join(timeout=5)


@pytest.mark.parametrize(("width", "theme"), [(360, "dark"), (1280, "light")])
@pytest.mark.parametrize("path", PEOPLE_PAGES)
def test_a_page_breaks_no_rule_of_accessibility_or_of_the_browser(
    page: Page, patterns: str, path: str, width: int, theme: str
) -> None:
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda problem: complaints.append(str(problem)))
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{patterns}{path}?theme={theme}")
    found = Axe().run(page).response["violations"]
    assert not [(one["id"], [node["html"] for node in one["nodes"]]) for one in found]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert not complaints


@pytest.mark.parametrize("accent", ["#ffe600", "#000000", "#c2185b"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_any_accent_a_company_brings_can_be_read(
    page: Page, patterns: str, accent: str, theme: str
) -> None:
    page.route(
        "**/company.css",
        lambda route: route.fulfill(content_type="text/css", body=f":root{{--accent:{accent}}}"),
    )
    page.goto(f"{patterns}/patterns?theme={theme}")
    found = Axe().run(page, options={"runOnly": ["color-contrast"]}).response["violations"]
    assert not [node["html"] for one in found for node in one["nodes"]]


def test_targets_are_big_enough_for_a_thumb(page: Page, patterns: str) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"{patterns}/patterns")
    for control in page.locator("main .btn:visible, .actionbar .btn, .me").all():
        box = control.bounding_box()
        assert box and box["height"] >= 44 and box["width"] >= 44, control.inner_text()


def test_what_is_wrong_is_read_first_and_leads_to_its_field(page: Page, patterns: str) -> None:
    page.goto(f"{patterns}/patterns")
    expect(page.locator(".problems")).to_be_focused()
    page.get_by_role("link", name="Line 2: Say what this line is for.").click()
    assert page.evaluate("location.hash") == "#lines-1-description"
    email = page.get_by_label("E-mail", exact=True)
    expect(email).to_have_accessible_description(re.compile("Write a whole address"))
    expect(email).to_have_value("mary.lee@homes")


def test_copying_says_so_and_puts_the_text_on_the_clipboard(page: Page, patterns: str) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{patterns}/patterns")
    page.get_by_role("button", name="Copy the address").click()
    expect(page.get_by_role("status").filter(has_text="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "accounts@brightspark.example"


def test_a_dialog_opens_by_keyboard_and_gives_the_focus_back(page: Page, patterns: str) -> None:
    page.goto(f"{patterns}/patterns")
    opener = page.get_by_role("link", name="Disconnect")
    opener.press("Enter")
    dialog = page.get_by_role("dialog", name="Disconnect office@brightspark.example?")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(opener).to_be_focused()


def test_lines_come_and_go_without_asking_the_server(page: Page, patterns: str) -> None:
    page.goto(f"{patterns}/patterns")
    rows = page.locator("[data-lines] tr")
    page.get_by_role("button", name="Add a line").click()
    expect(rows).to_have_count(3)
    expect(page.locator("[name=lines-2-description]")).to_be_focused()
    page.get_by_role("button", name="Remove line").nth(1).click()
    expect(rows).to_have_count(2)
    assert page.locator("[name=lines-1-description]").count() == 0
    page.get_by_role("button", name="Add a line").click()
    expect(page.locator("[name=lines-3-description]")).to_be_focused()


def test_what_was_typed_outlives_the_page(page: Page, patterns: str) -> None:
    page.goto(f"{patterns}/drafts")
    page.get_by_label("Message").fill("The tap drips again.")
    page.wait_for_timeout(700)
    page.reload()
    page.get_by_role("button", name="Bring it back").click()
    expect(page.get_by_label("Message")).to_have_value("The tap drips again.")
    page.route("**/patterns", lambda route: route.continue_(method="GET"))
    page.evaluate("document.forms.draft.action = '/patterns'")
    page.get_by_role("button", name="Save").click()
    expect(page).to_have_url(f"{patterns}/patterns")
    page.wait_for_load_state()
    assert page.evaluate("Object.keys(localStorage).length") == 0


def test_two_taps_are_one_deed(page: Page, patterns: str) -> None:
    posts: list[str] = []
    page.on("request", lambda asked: posts.append(asked.url) if asked.method == "POST" else None)
    page.goto(f"{patterns}/drafts")
    page.route("**/slow", lambda route: None)
    page.evaluate("document.forms.draft.action = '/slow'")
    # A region beside the form refreshes itself every 100 ms meanwhile; that must free nothing.
    page.evaluate(
        "() => { const tap = () => document.querySelector('#draft [type=submit]').click();"
        " tap(); setTimeout(tap, 450); }"
    )
    page.wait_for_timeout(900)
    assert len(posts) == 1


def test_a_region_that_refreshes_itself_rests_in_a_hidden_tab(page: Page, patterns: str) -> None:
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url) if "/ticks" in one.url else None)
    with page.expect_request("**/ticks"):
        page.goto(f"{patterns}/drafts")
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true})")
    page.wait_for_timeout(150)
    before = len(asked)
    page.wait_for_timeout(400)
    assert len(asked) == before


def test_nothing_dead_is_shown_without_script(browser: Browser, patterns: str) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto(f"{patterns}/patterns")
    expect(page.get_by_role("button", name="Copy the address")).to_be_hidden()
    expect(page.get_by_role("link", name="Disconnect")).to_be_visible()
    page.close()


@pytest.mark.parametrize("code", ERRORS)
def test_an_error_answers_as_a_page_and_as_a_fragment(code: int) -> None:
    from jinja2_fragments.flask import render_block

    app = make_app()
    whole = app.test_client().get(f"/errors/{code}").text
    with app.test_request_context("/"):
        fragment = render_block(f"errors/{code}.html", "fragment", number="3f9a01bc")
    assert "<title>" in whole and 'role="alert"' in fragment
    assert "<html" not in fragment and fragment.strip() in whole


def test_the_styles_stay_small() -> None:
    assert len(gzip.compress((ROOT / "static" / "app.css").read_bytes())) < 15_000
    assert len(gzip.compress((ROOT / "static" / "app.js").read_bytes())) < 6_000
