"""Draw the pattern page: python -m tests.patterns FOLDER"""

import sys
from pathlib import Path
from threading import Thread

from playwright.sync_api import Browser, Page, sync_playwright
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.patterns.stub import make_app
from tools import chromium


class Quiet(WSGIRequestHandler):
    def log(self, *_: object) -> None:
        """One line for each request would bury what the pages say."""


WIDTHS = (360, 1280)
THEMES = ("light", "dark")
PAGES = ("patterns", "login", "errors/404", "errors/500")


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "test-results/patterns")
    folder.mkdir(parents=True, exist_ok=True)
    server = make_server("127.0.0.1", 0, make_app(), threaded=True, request_handler=Quiet)
    Thread(target=server.serve_forever, daemon=True).start()
    path = chromium.find()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(chromium.QUIET))
        for page in PAGES:
            for width in WIDTHS:
                for theme in THEMES:
                    _draw(browser, f"http://127.0.0.1:{server.port}", page, width, theme, folder)
        browser.close()
    server.shutdown()


def _draw(browser: Browser, root: str, page: str, width: int, theme: str, folder: Path) -> None:
    tab = browser.new_page(viewport={"width": width, "height": 740 if width < 500 else 860})
    tab.on("console", lambda said: print(page, width, theme, said.type, said.text))
    tab.on("pageerror", lambda problem: print(page, width, theme, problem))
    tab.goto(f"{root}/{page}?theme={theme}")
    wide = tab.evaluate("document.documentElement.scrollWidth")
    if wide > width:
        print(page, width, theme, "is", wide, "wide")
    tab.screenshot(path=folder / f"{page.replace('/', '-')}-{width}-{theme}.png", full_page=True)
    if page == "patterns":
        _draw_open(tab, folder, f"{width}-{theme}")
    tab.close()


def _draw_open(tab: Page, folder: Path, name: str) -> None:
    """What opens over a page: the menu and a dialog."""
    tab.locator(".me").click()
    tab.screenshot(path=folder / f"menu-{name}.png")
    tab.keyboard.press("Escape")
    tab.locator("[data-dialog]").click()
    tab.screenshot(path=folder / f"dialog-{name}.png")


if __name__ == "__main__":
    main()
