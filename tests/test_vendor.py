"""What others made is kept as they made it: each vendored file has an origin, a licence, a hash."""

import base64
import hashlib
import json
import re
from typing import Any

import pytest

from portal.config import ROOT

VENDOR = ROOT / "static" / "vendor"
PARTS: list[dict[str, Any]] = json.loads((VENDOR / "manifest.json").read_text())
FILES = [(part["name"], file) for part in PARTS for file in part["files"]]


@pytest.mark.parametrize(("name", "file"), FILES, ids=[file["path"] for _, file in FILES])
def test_a_vendored_file_is_the_one_that_was_released(name: str, file: dict[str, str]) -> None:
    digest = hashlib.sha384((VENDOR / file["path"]).read_bytes()).digest()
    assert file["sha384"] == "sha384-" + base64.b64encode(digest).decode()


def test_nothing_lies_in_vendor_that_the_manifest_does_not_name() -> None:
    named = {file["path"] for _, file in FILES} | {"manifest.json"}
    found = {str(path.relative_to(VENDOR)) for path in VENDOR.rglob("*") if path.is_file()}
    assert found == named


@pytest.mark.parametrize("part", PARTS, ids=[part["name"] for part in PARTS])
def test_each_part_says_where_it_comes_from_and_keeps_its_licence(part: dict[str, Any]) -> None:
    folder = f"{part['name'].lower()}-{part['version']}"
    assert all(file["path"].startswith(folder + "/") for file in part["files"])
    assert (VENDOR / folder / "LICENSE").is_file()
    assert part["package"] and part["license"]
    assert len(base64.b64decode(part["tarball"].removeprefix("sha512-"))) == 64


def test_every_icon_that_a_page_draws_is_in_the_sprite() -> None:
    [sprite] = VENDOR.glob("lucide-*/sprite.svg")
    drawn = set(re.findall(r'<symbol id="([a-z0-9-]+)"', sprite.read_text()))
    [icons] = [part["icons"] for part in PARTS if "icons" in part]
    assert drawn == set(icons)
    for page in (ROOT / "templates").rglob("*.html"):
        asked = set(re.findall(r"\bicon\(\s*[\"']([a-z0-9-]+)[\"']", page.read_text()))
        assert asked <= drawn, page


def test_pages_and_styles_name_the_version_that_is_there() -> None:
    texts = [(ROOT / "static" / "app.css"), *(ROOT / "templates").rglob("*.html")]
    for text in texts:
        for path in re.findall(r"vendor/([\w.-]+/[\w.-]+\.\w+)", text.read_text()):
            assert (VENDOR / path).is_file(), f"{text} names {path}"
