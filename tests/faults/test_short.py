"""The short form of the fault runs: every failpoint and every fault a few times, on both stores.

Real workers on two hosts, killed, paused, cut off and starved at exactly the place that the plan
names; CRASH_SEED chooses another plan. `make faults` runs all cells, twenty times each.
"""

import os

import pytest

from tests import servers
from tests.faults.cells import make_plan, sample
from tests.faults.run import Run
from tests.faults.stage import stage

MAILBOXES = 6
#: Seconds for which things go wrong; what is left of the plan then is left out.
STRIKING = 8.0


def test_faults_at_every_failpoint_lose_and_double_nothing(
    store: str, database: str, request: pytest.FixtureRequest
) -> None:
    server: servers.Postgres | None = None
    if store == "postgresql":
        server = request.getfixturevalue("postgres")
        # A store that is killed has to know what it said it had stored.
        server.execute("ALTER DATABASE sendwright_test SET synchronous_commit = on")
    seed = os.environ.get("CRASH_SEED", request.node.name)
    cells = [one for one in sample(seed, 1) if one.fault != "clock back"]
    plan = make_plan(cells, 1, MAILBOXES, seed)
    with servers.short_directory("swfaults-") as home, stage(home, database, server) as made:
        verdict = Run(made, plan, hosts=2, longest=STRIKING).play()
    assert verdict.fine, f"CRASH_SEED={seed}: {verdict}\n{verdict.bad}"
    assert verdict.struck, verdict
