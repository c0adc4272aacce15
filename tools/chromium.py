"""Finds the Chromium that the browser tests drive; asked to, installs one.

python -m tools.chromium            prints where it is
python -m tools.chromium --install  gets one first if there is none
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
#: How the tests start it: without its own errands, and without the sandbox that root and many
#: containers cannot have. It only ever opens pages of this machine.
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
NONE = (
    "No Chromium was found for the browser tests, and none could be installed. "
    "Install Chromium or Google Chrome, or set CHROMIUM_PATH to one."
)


def find() -> str | None:
    """The path of a Chromium that starts on this machine, or None."""
    return next((path for path in _candidates() if _starts(path)), None)


def install() -> str | None:
    """Let Playwright fetch its own; failing that, let the system's packages do it."""
    _try(sys.executable, "-m", "playwright", "install", "chromium")
    if not find() and os.geteuid() == 0 and shutil.which("apt-get"):
        _try("apt-get", "update", "--quiet")
        _try("apt-get", "install", "--quiet", "--yes", "--no-install-recommends", "chromium")
    return find()


def _candidates() -> list[str]:
    named = os.environ.get("CHROMIUM_PATH")
    if named:
        return [named]
    found = [path for name in NAMES if (path := shutil.which(name))]
    return [*found, *_playwrights_own()]


def _playwrights_own() -> list[str]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return [path] if Path(path).is_file() else []


def _starts(path: str) -> bool:
    # Ubuntu's chromium-browser may be a stub that only tells one to install a snap.
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0


def _try(*command: str) -> None:
    # Bounded: a machine without a network must reach the sentence, not hang.
    try:
        subprocess.run(command, stdout=sys.stderr, timeout=240, check=False)
    except (OSError, subprocess.TimeoutExpired) as problem:
        print(problem, file=sys.stderr)


def main() -> None:
    path = find()
    if not path and "--install" in sys.argv:
        print("Getting a Chromium for the browser tests ...", file=sys.stderr)
        path = install()
    if not path:
        sys.exit(NONE)
    print(path)


if __name__ == "__main__":
    main()
