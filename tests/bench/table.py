"""Table: every figure of the bench in one table, each part in a process of its own.

    python -m tests.bench.table [--keep] [part ...]     all parts, or those named

--keep writes what came out into docs/benchmarks.md, with the machine it came from; parts that were
not run keep the figures they had.
"""

import argparse
import datetime as dt
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator

from tests.bench.machine import described
from tests.bench.row import HEAD, Row
from tests.servers import ROOT

#: The parts in the order of the table, and what each is about.
PARTS = {
    "quota": "At the provider's quota",
    "throughput": "Beside a raw loop that makes the same calls",
    "smtp": "Handed to a mail server",
    "peers": "Beside what others would take",
    "soak": "Over many sends",
    "fair": "While a big run is on",
    "accept": "Accepting a batch of 10,000",
    "pages": "Pages, while 100 mailboxes drain",
    "flood": "What comes in, read and tied",
}
KEPT = ROOT / "docs" / "benchmarks.md"
COLUMNS = "| what | seen | beside | ratio or figure | mark | |\n|---|--:|--:|--:|---|---|"


def main() -> int:
    asked = argparse.ArgumentParser(prog="python -m tests.bench.table")
    asked.add_argument("parts", nargs="*", metavar="part", help=", ".join(PARTS))
    asked.add_argument("--keep", action="store_true")
    asked.add_argument("--rows-of", help=argparse.SUPPRESS)
    told = asked.parse_args()
    if told.rows_of:
        say_rows(told.rows_of)
        return 0
    unknown = set(told.parts) - set(PARTS)
    if unknown:
        asked.error(f"there is no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    print(described(), end="\n\n")
    print(HEAD)
    failed = False
    for part in told.parts or PARTS:
        print(f"\n{PARTS[part]} ({part})", flush=True)
        rows = list(shown(part))
        failed = failed or not rows
        if told.keep and rows:
            keep(part, rows)
    return int(failed)


def say_rows(part: str) -> None:
    """In the process of one part: its rows as they come, one a line."""
    for row in importlib.import_module(f"tests.bench.{part}").rows():
        print(json.dumps(row.as_json()), flush=True)


def shown(part: str) -> Iterator[Row]:
    """The rows of one part, each printed as it comes."""
    command = [sys.executable, "-m", "tests.bench.table", "--rows-of", part]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        for line in run.stdout:
            if line.startswith("{"):
                row = Row(**json.loads(line))
                print(row.line(), flush=True)
                yield row
    if run.returncode != 0:
        print(f"{part} did not finish; its own words stand above", flush=True)


def keep(part: str, rows: list[Row]) -> None:
    """Put one part's figures into the document, in the place of those it had."""
    today = dt.datetime.now(dt.UTC).date().isoformat()
    machine = described().replace("\n", "; ")
    body = "\n".join([COLUMNS, *(row.markdown() for row in rows)])
    section = f"<!-- {part} -->\n\n{body}\n\n{today}, on {machine}.\n\n<!-- end {part} -->"
    place = re.compile(f"<!-- {part} -->.*?<!-- end {part} -->", re.DOTALL)
    text, found = place.subn(lambda _: section, KEPT.read_text())
    assert found == 1, f"docs/benchmarks.md has no place for {part}"
    KEPT.write_text(text)


if __name__ == "__main__":
    sys.exit(main())
