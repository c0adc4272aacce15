"""The failure matrix, proved: python -m tests.faults prints its tables. Exit status 1 on any miss.

FAULTS=short takes minutes, with both stores side by side; FAULTS=long (the default) an hour or two
on two idle cores, one store after the other. FAULTS_PROVIDER=google (the default), microsoft or
smtp says who carries the mail. FAULTS_SEED repeats a run; FAULTS_STORE=sqlite or postgresql takes
one; FAULTS_SECONDS is for how long things go wrong.
"""

import os
import pickle
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from portal.failpoints import NAMES
from tests import servers
from tests.faults.carriers import CARRIERS, Carrier
from tests.faults.cells import FAULTS, Cell, make_plan, makes_sense, without
from tests.faults.machines import Happened, deployed, killed_and_cut_off
from tests.faults.run import Run, Verdict
from tests.faults.stage import Stage, faketime, install_faketime, stage

STORES = ("SQLite", "PostgreSQL")


@dataclass(frozen=True)
class Form:
    """runs: of each cell on each store; mailboxes: on each store, fewer where one writes at a time;
    longest: seconds for which things go wrong in the matrix; dispatches: of each other part;
    together: both stores at once, which many mailboxes are too much for."""

    runs: int
    mailboxes: dict[str, int]
    longest: float
    dispatches: int
    together: bool = False


FORMS = {
    "short": Form(1, {"SQLite": 12, "PostgreSQL": 12}, 180, 60, together=True),
    "long": Form(10, {"SQLite": 24, "PostgreSQL": 64}, 3600, 360),
}


@dataclass
class Played:
    """What one store went through."""

    matrix: Verdict
    deploys: Happened
    hosts: Happened | None = None

    @property
    def parts(self) -> dict[str, Verdict]:
        found = {"failpoints × faults": self.matrix, "deploys in the middle": self.deploys.verdict}
        if self.hosts is not None:
            found["hosts killed and cut off"] = self.hosts.verdict
        return found


def main() -> int:
    form, carrier = os.environ.get("FAULTS", "long"), chosen_carrier()
    seed = os.environ.get("FAULTS_SEED") or str(random.SystemRandom().randrange(10**6))
    if len(sys.argv) == 3:
        store, where = sys.argv[1:]
        Path(where).write_bytes(pickle.dumps(play(store, FORMS[form], f"{seed}/{store}")))
        return 0
    print(f"{carrier.title}: FAULTS={form} FAULTS_SEED={seed}", flush=True)
    install_faketime()
    if faketime() is None:
        print("clock back: not run, faketime is not here", flush=True)
    played = play_all(FORMS[form], seed)
    print(table({store: one.matrix for store, one in played.items()}))
    print(totals(played))
    fine = all(part.fine for one in played.values() for part in one.parts.values())
    return 0 if fine and played else 1


def chosen_carrier() -> type[Carrier]:
    name = os.environ.get("FAULTS_PROVIDER", "google")
    if name not in CARRIERS:
        sys.exit(f"FAULTS_PROVIDER is {name!r}; choose one of {', '.join(CARRIERS)}")
    return CARRIERS[name]


def play_all(form: Form, seed: str) -> dict[str, Played]:
    """Each store in a process of its own; a store that brought back nothing is a miss."""
    wanted = os.environ.get("FAULTS_STORE", "")
    stores = [one for one in STORES if wanted.lower() in ("", one.lower())]
    with servers.short_directory("swplayed-") as home:
        going = {}
        for store in stores:
            command = [sys.executable, "-m", "tests.faults", store, str(home / store)]
            environ = os.environ | {"FAULTS_SEED": seed}
            going[store] = subprocess.Popen(command, env=environ, cwd=servers.ROOT)
            if not form.together:
                going[store].wait()
        for store, process in going.items():
            if process.wait():
                print(f"{store}: the run itself failed", flush=True)
                return {}
        return {store: pickle.loads((home / store).read_bytes()) for store in stores}


def play(store: str, form: Form, seed: str) -> Played:
    """The matrix, then a deploy in the middle, then (where machines can share the store) hosts."""
    with open_stage(store) as made:
        made.give_hosts_a_clock()
        longest = float(os.environ.get("FAULTS_SECONDS") or form.longest)
        plan = make_plan(cells_here(), form.runs, form.mailboxes[store], seed)
        matrix = Run(made, plan, hosts=3, longest=longest).play()
    say(store, "failpoints × faults", matrix)
    with open_stage(store) as made:
        deploys = deployed(made, form.dispatches, seed)
    say(store, "deploys in the middle", deploys.verdict)
    if store == "SQLite":  # a file is one machine's
        return Played(matrix, deploys)
    with open_stage(store) as made:
        hosts = killed_and_cut_off(made, form.dispatches, seed)
    say(store, "hosts killed and cut off", hosts.verdict)
    return Played(matrix, deploys, hosts)


def say(store: str, part: str, verdict: Verdict) -> None:
    print(f"{store}, {part}: {verdict}", flush=True)


def cells_here() -> list[Cell]:
    cells = without(chosen_carrier().never)
    return [one for one in cells if one.fault != "clock back" or faketime()]


@contextmanager
def open_stage(store: str) -> Iterator[Stage]:
    with servers.short_directory("swfaults-") as home:
        if store == "SQLite":
            database = f"sqlite:///{home}/sendwright.sqlite3"
            servers.migrate(database)
            with stage(home, database, None, chosen_carrier()) as made:
                yield made
            return
        with servers.postgres() as server, server.database("faults") as database:
            # A store that is killed has to know what it said it had stored.
            server.execute("ALTER DATABASE faults SET synchronous_commit = on")
            servers.migrate(database)
            with stage(home, database, server, chosen_carrier()) as made:
                yield made


# -- the tables --------------------------------------------------------------------------------


def table(verdicts: dict[str, Verdict]) -> str:
    """Rows are failpoints, columns faults: how often each was met, and what went wrong."""
    lines = ["", "| failpoint | " + " | ".join(FAULTS) + " |", "|---" * (len(FAULTS) + 1) + "|"]
    for point in [one for one in NAMES if one not in chosen_carrier().never]:
        shown = [_shown(Cell(point, fault), verdicts) for fault in FAULTS]
        lines.append(f"| {point} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def _shown(cell: Cell, verdicts: dict[str, Verdict]) -> str:
    if not makes_sense(cell):
        return ""
    times = sum(one.struck[cell] for one in verdicts.values())
    bad = sum(len(one.bad.get(cell, ())) for one in verdicts.values())
    return f"{times} ({bad} BAD)" if bad else str(times)


HEAD = (
    *("store", "part", "dispatches", "strikes", "twice", "lost", "stranded", "unknown left"),
    "to a person",
)


def totals(played: dict[str, Played]) -> str:
    """One line for each part on each store, then what was done to hosts."""
    lines = ["", "| " + " | ".join(HEAD) + " |", "|---" * len(HEAD) + "|"]
    for store, one in played.items():
        lines += [f"| {store} | {part} | {_counts(one, part)} |" for part in one.parts]
    for store, one in played.items():
        for happened in filter(None, (one.deploys, one.hosts)):
            events = ", ".join(f"{what} {times}" for what, times in sorted(happened.events.items()))
            lines += ["", f"{store}: {events}."]
    return "\n".join(lines)


def _counts(one: Played, part: str) -> str:
    verdict = one.parts[part]
    events = {"deploys in the middle": one.deploys, "hosts killed and cut off": one.hosts}
    happened = events.get(part)
    strikes = happened.events if happened else verdict.struck
    wrong = (verdict.doubled, verdict.lost, verdict.stranded, verdict.unknown)
    counts = (verdict.dispatches, sum(strikes.values()), *map(len, wrong), len(verdict.to_person))
    return " | ".join(f"{count:,}" for count in counts)


if __name__ == "__main__":
    began = time.monotonic()
    status = main()
    if len(sys.argv) < 3:
        print(f"\n{time.monotonic() - began:.0f} s in all")
    sys.exit(status)
