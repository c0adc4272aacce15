"""The failure matrix, proved: python -m tests.faults prints one table. Exit status 1 on any miss.

FAULTS=short takes a few minutes, FAULTS=long (the default) about twenty-five on two idle cores.
FAULTS_SEED repeats a run, FAULTS_STORE=sqlite or postgresql takes one store only.
"""

import os
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from portal.failpoints import NAMES
from tests import servers
from tests.faults.cells import CELLS, FAULTS, Cell, Plan, make_plan, makes_sense
from tests.faults.run import Run, Verdict
from tests.faults.stage import Stage, faketime, install_faketime, stage

STORES = ("SQLite", "PostgreSQL")
#: How often each cell is run on each store, with how many mailboxes, for at most how long (s).
FORMS = {"short": (1, 12, 300.0), "long": (10, 24, 900.0)}


def main() -> int:
    form = os.environ.get("FAULTS", "long")
    runs, mailboxes, longest = FORMS[form]
    seed = os.environ.get("FAULTS_SEED") or str(random.SystemRandom().randrange(10**6))
    print(f"FAULTS={form} FAULTS_SEED={seed}", flush=True)
    install_faketime()
    if faketime() is None:
        print("clock back: not run, faketime is not here", flush=True)
    verdicts: dict[str, Verdict] = {}
    for store in STORES:
        if os.environ.get("FAULTS_STORE", store).lower() == store.lower():
            plan = make_plan(cells_here(), runs, mailboxes, f"{seed}/{store}")
            verdicts[store] = play(store, plan, longest)
            print(f"{store}: {verdicts[store]}", flush=True)
    print(table(verdicts))
    return 0 if all(one.fine for one in verdicts.values()) else 1


def cells_here() -> list[Cell]:
    return [one for one in CELLS if one.fault != "clock back" or faketime()]


def play(store: str, plan: Plan, longest: float) -> Verdict:
    with open_stage(store) as made:
        made.give_hosts_a_clock()
        return Run(made, plan, hosts=3, longest=longest).play()


@contextmanager
def open_stage(store: str) -> Iterator[Stage]:
    with servers.short_directory("swfaults-") as home:
        if store == "SQLite":
            database = f"sqlite:///{home}/sendwright.sqlite3"
            servers.migrate(database)
            with stage(home, database, None) as made:
                yield made
            return
        with servers.postgres() as server, server.database("faults") as database:
            # A store that is killed has to know what it said it had stored.
            server.execute("ALTER DATABASE faults SET synchronous_commit = on")
            servers.migrate(database)
            with stage(home, database, server) as made:
                yield made


def table(verdicts: dict[str, Verdict]) -> str:
    """Rows are failpoints, columns faults; how often each was met, and what was worst."""
    lines = ["", "| failpoint | " + " | ".join(FAULTS) + " |", "|---" * (len(FAULTS) + 1) + "|"]
    for point in NAMES:
        shown = [_shown(Cell(point, fault), verdicts) for fault in FAULTS]
        lines.append(f"| {point} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def _shown(cell: Cell, verdicts: dict[str, Verdict]) -> str:
    if not makes_sense(cell):
        return ""
    times = sum(one.struck[cell] for one in verdicts.values())
    bad = sum(len(one.bad.get(cell, ())) for one in verdicts.values())
    return f"{times} ({bad} BAD)" if bad else str(times)


if __name__ == "__main__":
    began = time.monotonic()
    status = main()
    print(f"{time.monotonic() - began:.0f} s in all")
    sys.exit(status)
