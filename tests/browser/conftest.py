"""What stories in a browser begin with: the demo company, running, and its people at work."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from portal.extensions import db
from portal.seeds import seed_demo
from tests.browser.steps import PATIENCE, AtWork, NewPage, sign_in
from tests.servers import Live


@pytest.fixture
def demo(live: Live) -> Live:
    """A running Sendwright with the demo company in it."""
    with live.app.app_context():
        seed_demo(db.session)
        db.session.remove()
    return live


@pytest.fixture
def new_page(browser: Browser) -> Iterator[NewPage]:
    """A browser of its own for whoever asks."""
    pages: list[Page] = []

    def opened(width: int, height: int = 800) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height})
        context.set_default_timeout(PATIENCE)
        pages.append(context.new_page())
        return pages[-1]

    yield opened
    # Left open until the browser ends: Chromium now and then never answers when a context with a
    # page that was opened by another page is closed, and that call knows no time-out.
    for page in pages:
        page.goto("about:blank")


@pytest.fixture
def at_work(demo: Live, new_page: NewPage) -> AtWork:
    """Each person has a browser of their own, and is signed in."""

    def sit_down(first: str, width: int) -> Page:
        page = new_page(width)
        sign_in(page, demo, first)
        return page

    return sit_down


@pytest.fixture
def olive(at_work: AtWork) -> Page:
    """The office manager at her desk."""
    return at_work("olive", 1280)


@pytest.fixture
def tom(at_work: AtWork) -> Page:
    """A tradesperson with his phone."""
    return at_work("tom", 360)


@pytest.fixture
def nia(at_work: AtWork) -> Page:
    """A tradesperson whose address nobody verified."""
    return at_work("nia", 360)
