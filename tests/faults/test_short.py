"""The short form of the fault runs: failpoints and faults a few times, by each way that mail goes.

Real workers on two hosts, killed, paused, cut off and starved at exactly the place that the plan
names; CRASH_SEED chooses another plan. `make faults` runs all cells, twenty times each. Through
Gmail on both stores; the others, whose route is the same but for the carrier, on one each.
"""

import os

import pytest

from tests import servers
from tests.faults.carriers import Carrier, Gmail, MailServer, Microsoft
from tests.faults.cells import make_plan, sample, without
from tests.faults.run import Run, Verdict
from tests.faults.stage import stage

MAILBOXES = 6
#: Seconds for which things go wrong; what is left of the plan then is left out.
STRIKING, OTHERS_STRIKING = 8.0, 5.0
#: Seconds until somebody looks what became of an unclear message.
AT_ONCE = 0.5


def test_faults_at_every_failpoint_lose_and_double_nothing(
    store: str, database: str, request: pytest.FixtureRequest
) -> None:
    server: servers.Postgres | None = None
    if store == "postgresql":
        server = request.getfixturevalue("postgres")
    strike(Gmail, database, server, request.node.name, STRIKING)


@pytest.mark.sqlite_only
def test_through_microsoft_neither(database: str, request: pytest.FixtureRequest) -> None:
    verdict = strike(Microsoft, database, None, request.node.name, OTHERS_STRIKING)
    assert not verdict.to_person


def test_through_a_mail_server_neither_with_a_person_who_looks(
    postgres: servers.Postgres, postgres_template: str, request: pytest.FixtureRequest
) -> None:
    database = postgres.as_new("sendwright_test", postgres_template)
    strike(MailServer, database, postgres, request.node.name, OTHERS_STRIKING)


def strike(
    carrier: type[Carrier],
    database: str,
    server: servers.Postgres | None,
    name: str,
    striking: float,
) -> Verdict:
    if server is not None:  # a store that is killed has to know what it said it had stored
        server.execute("ALTER DATABASE sendwright_test SET synchronous_commit = on")
    seed = os.environ.get("CRASH_SEED", name)
    left_out = {"clock back"} if carrier.two_phase else {"clock back", "pause"}  # it takes long
    cells = [one for one in without(carrier.never) if one.fault not in left_out]
    plan = make_plan(sample(seed, 1, cells), 1, MAILBOXES, seed)
    with (
        servers.short_directory("swfaults-") as home,
        stage(home, database, server, carrier) as made,
    ):
        verdict = Run(made, plan, hosts=2, longest=striking, looks_after=AT_ONCE).play()
    assert verdict.fine, f"CRASH_SEED={seed}: {verdict}\n{verdict.bad}"
    assert verdict.struck, verdict
    return verdict
