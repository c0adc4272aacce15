"""Quota: how much of what Google allows a mailbox is used, and whether it is ever asked for more.

The sink counts units in a sliding minute as Google does, and refuses what goes beyond. The ceiling
is what 6,000 units a minute allow at 130 a mail: the draft, its sending and the copy read back. The
small runs take the same minute, each with a portal, a sink and workers of its own; a hundred
mailboxes have the machine to themselves.
"""

import json
import subprocess
import sys
from collections.abc import Iterator

from tests.bench import drain
from tests.bench.drain import Rate
from tests.bench.ground import LONG
from tests.bench.row import Row
from tests.servers import ROOT

#: Mailboxes and latency (ms) of each run; those of one line side by side.
RUNS = (((1, 80), (1, 500), (10, 80), (10, 500)), ((100, 80),), ((100, 500),))
SECONDS = 120 if LONG else 65
MARK = ">= 0.97"


def rows() -> Iterator[Row]:
    for together in RUNS:
        started = [(run, start(*run)) for run in together]
        for (mailboxes, latency), process in started:
            said, _ = process.communicate()
            assert process.returncode == 0, "a run did not finish; its own words stand above"
            seen = Rate(**json.loads(said.splitlines()[-1])["drain"])
            yield row_of(mailboxes, latency, seen)


def start(mailboxes: int, latency: int) -> "subprocess.Popen[str]":
    words = f"--quota --mailboxes {mailboxes} --latency {latency} --seconds {SECONDS}"
    command = [sys.executable, "-m", "tests.bench.drain", *words.split()]
    command += ["--store", "postgresql", "--json"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def row_of(mailboxes: int, latency: int, seen: Rate) -> Row:
    name = f"share of the quota, {mailboxes} mailbox{'es' * (mailboxes > 1)}, {latency} ms"
    ceiling = f"{mailboxes * drain.CEILING:.1f}/s, {seen.refused} refused"
    # A refusal is a miss, however much was sent.
    figure = seen.share if not seen.refused else 0.0
    return Row(name, f"{seen.rate:.2f} mails/s", ceiling, figure, MARK)
