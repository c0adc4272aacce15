"""Every page there is, as the office manager sees it: on a phone and at a desk, light and dark.

The pages are found by walking the routes, so a new one is looked at the moment it exists.
"""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from playwright.sync_api import Browser, Page

from tests import servers
from tests.test_house_pages import NO_PAGES, PEOPLE, addresses, company, rules, signed_in

__all__ = ["company"]  # the fixture: the demo company with something of everything

WIDTHS = (1280, 360)
WHOLE = {"iframes": False, "resultTypes": ["violations"]}
#: All that the colours can change; the rest was looked at in the other colour.
COLOURS = WHOLE | {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}


@pytest.fixture
def address(company: Flask) -> Iterator[str]:
    """Where that company's portal answers."""
    with servers.listening_socket() as (listener, port), servers.serving(company, listener):
        yield f"http://127.0.0.1:{port}"


@pytest.mark.sqlite_only
@pytest.mark.parametrize("half", [0, 1])
def test_every_page_passes_axe_and_fits(
    company: Flask, address: str, browser: Browser, half: int
) -> None:
    shown = list(one_of_each(company, half))
    assert len(shown) > 25
    page = olives_page(company, address, browser)
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    found = {one: wrong for one in shown if (wrong := troubles(page, address + one))}
    page.goto("about:blank")
    assert found == {}
    assert complaints == []


def one_of_each(company: Flask, half: int) -> Iterator[str]:
    """One address of every second page that a person looks at."""
    client = signed_in(company, PEOPLE[0])
    walked = [rule for rule, _ in rules(company, {"GET"}) if rule.endpoint not in NO_PAGES]
    for rule in walked[half::2]:
        for address in addresses(company, rule):
            with client.get(address) as answer:
                if answer.mimetype == "text/html" and answer.status_code == 200:
                    yield address
                    break


def olives_page(company: Flask, address: str, browser: Browser) -> Page:
    """A browser in which she is signed in."""
    client = signed_in(company, PEOPLE[0])
    client.get("/")
    cookie = client.get_cookie(company.config["SESSION_COOKIE_NAME"])
    assert cookie is not None
    context = browser.new_context(reduced_motion="reduce")
    context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": address}])
    return context.new_page()


def troubles(page: Page, address: str) -> list[str]:
    """What axe finds at each width and in both colours, and what has to be pushed sideways."""
    answer = page.goto(address)
    wrong = [] if answer and answer.status == 200 else ["is not shown"]
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        if page.evaluate("document.documentElement.scrollWidth") > width:
            wrong.append(f"{width}: scrolls sideways")
        for scheme, options in (("light", WHOLE), ("dark", COLOURS)):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            found = Axe().run(page, options=options).response["violations"]
            wrong += [
                f"{width} {scheme}: {one['id']}: {one['nodes'][0]['html'][:120]}" for one in found
            ]
    return wrong
