"""Machines: whole hosts are killed and cut off in turn, and workers are rolled over by a deploy."""

import contextlib
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlalchemy.engine import make_url

from portal.children import session_members
from tests.faults.cables import Cable
from tests.faults.cells import Plan
from tests.faults.run import Run, Verdict
from tests.faults.stage import Stage, send_signal

MAILBOXES, HOSTS = 12, 2
#: Seconds for which a cable is cut or frozen at most.
LONGEST_CUT = 4.8
CABLES = ("PostgreSQL", "Redis", "carrier")


@dataclass
class Happened:
    """What was done to hosts, and what became of the mail."""

    verdict: Verdict
    events: Counter[str] = field(default_factory=Counter)


def killed_and_cut_off(stage: Stage, dispatches: int, seed: str) -> Happened:
    """Two hosts on one PostgreSQL and one Redis, each at the end of cables of its own."""
    chance, events = random.Random(seed), Counter[str]()
    with _cables(stage) as cables:

        def meanwhile(run: Run) -> None:
            for event in _in_turn(chance):
                if run.is_done():
                    return
                host = chance.choice(stage.hosts)
                events[event] += 1
                _befall(event, cables[host.name], chance, lambda host=host: host.kill())  # type: ignore[misc]

        where = {name: _where(stage, ends) for name, ends in cables.items()}
        run = _slow_run(stage, dispatches, seed, where)
        return Happened(run.play(meanwhile), events)


def deployed(stage: Stage, dispatches: int, seed: str) -> Happened:
    """Every worker is asked to end, one after the other, and started anew, again and again."""
    chance, events = random.Random(seed), Counter[str]()

    def meanwhile(run: Run) -> None:
        while not run.is_done():
            for host in stage.hosts:
                asked = host.worker.pid
                whom = session_members(asked) if chance.random() < 0.5 else [asked]
                for pid in whom:  # systemd asks the worker alone, or every process of the service
                    send_signal(pid, signal.SIGTERM)
                events["SIGTERM"] += 1
                _until_gone(asked)
                _until_some_left(stage)
                if run.is_done():
                    return

    return Happened(_slow_run(stage, dispatches, seed, {}).play(meanwhile), events)


def _slow_run(stage: Stage, dispatches: int, seed: str, where: dict[str, dict[str, str]]) -> Run:
    """Nothing strikes at failpoints; calls take their time, so that there is a middle to be in."""
    stage.carrier.take_time()
    each = dispatches // MAILBOXES
    plan = Plan(seed, [[None] * each for _ in range(MAILBOXES)])
    return Run(
        stage,
        plan,
        hosts=HOSTS,
        longest=600,
        cables=where,
        looks_after=LONGEST_CUT + stage.carrier.lease,
    )


def _until_some_left(stage: Stage, patience: float = 15) -> None:
    """A deploy is rolled on when what was started works."""
    before, deadline = stage.carrier.count(), time.monotonic() + patience
    while stage.carrier.count() < before + 4 and time.monotonic() < deadline:
        time.sleep(0.1)


def _until_gone(pid: int, patience: float = 10) -> None:
    deadline = time.monotonic() + patience
    while session_members(pid) and time.monotonic() < deadline:
        time.sleep(0.05)


# -- cables ------------------------------------------------------------------------------------


@contextlib.contextmanager
def _cables(stage: Stage) -> Iterator[dict[str, dict[str, Cable]]]:
    assert stage.postgres is not None
    ends: dict[str, str | tuple[str, int]] = {
        "PostgreSQL": str(stage.postgres.home / ".s.PGSQL.5432"),
        "Redis": str(stage.redis.path),
        "carrier": ("127.0.0.1", stage.carrier.port),
    }
    names = [f"host-{number + 1}" for number in range(HOSTS)]
    made = {name: {what: Cable(ends[what]) for what in CABLES} for name in names}
    if stage.carrier.shared:
        one_for_all = Cable(ends["carrier"])
        made = {name: {**own, "carrier": one_for_all} for name, own in made.items()}
    try:
        yield made
    finally:
        for one in (cable for of_host in made.values() for cable in of_host.values()):
            one.close()


def _where(stage: Stage, cables: dict[str, Cable]) -> dict[str, str]:
    """The addresses at which one host finds its stores, and the carrier."""
    database = make_url(stage.database).database
    return {
        "DATABASE_URL": f"postgresql://postgres@127.0.0.1:{cables['PostgreSQL'].port}/{database}",
        "REDIS_URL": f"redis://127.0.0.1:{cables['Redis'].port}/0",
        **stage.carrier.through(cables["carrier"].port),
    }


def _in_turn(chance: random.Random) -> Iterator[str]:
    """Everything that can befall a host, each as often as the others, in an order of its own."""
    all_ = ["killed", *(f"{how} {what}" for what in CABLES for how in ("cut off", "frozen from"))]
    while True:
        chance.shuffle(all_)
        yield from all_


def _befall(event: str, cables: dict[str, Cable], chance: random.Random, kill: object) -> None:
    if event == "killed":
        assert callable(kill)
        kill()
    else:
        cable = cables[event.split()[-1]]
        if event.startswith("cut"):
            cable.cut()
        else:
            cable.freeze()
        time.sleep(chance.choice((0.4, 1.0, LONGEST_CUT)))
        cable.heal()
    time.sleep(chance.uniform(0.3, 1.5))
