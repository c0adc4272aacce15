"""A cell: one fault at one failpoint. The plan says, by a seed, which dispatch meets which cell.

Pure: no process, no store, no clock.
"""

import random
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from portal.failpoints import NAMES

#: What goes wrong, in the order of the table's columns.
KILLS = ("kill worker", "kill child", "kill both")
PROVIDER = ("no answer", "cut", "5xx before", "5xx after", "429", "expired", "revoked")
AROUND = ("restart db", "FLUSHALL", "restart redis", "clock back", "disk full")
FAULTS = (*KILLS, "pause", *PROVIDER, *AROUND)

ASKING = tuple(one for one in NAMES if one.startswith("request."))
FREEZING = tuple(one for one in NAMES if one.startswith("freeze."))
#: Points that are reached for a mailbox or an item, not for one dispatch: whoever comes first.
NAMELESS = (*FREEZING, "drain.leased")
SENDING = tuple(one for one in NAMES if one not in (*ASKING, *NAMELESS))
#: Here a transaction is open: whoever waits, keeps others waiting.
WRITING = tuple(one for one in NAMES if one.endswith((".written", ".stored")))
#: Whom something else befell before comes here by another way, or never: for each ten times that
#: are wanted, so many more are planned.
LATE = ("send.answered", "result.written", "result.committed", "proof.read", "proof.committed")
MORE_IN_TEN = 4
#: What only a carrier that keeps drafts and shows sent copies comes to.
BY_DRAFT = ("draft.made", "proof.read", "proof.committed", "settle.looked")
#: Reached by an unclear outcome alone, so one is made first, at this point.
UNCLEAR, MADE_UNCLEAR_AT = "settle.looked", "handover.committed"


@dataclass(frozen=True)
class Cell:
    point: str
    fault: str


def makes_sense(cell: Cell) -> bool:
    """Nobody talks to a provider while a document is asked for or frozen, and there the process
    that asks is the one to kill."""
    if cell.point in ASKING:
        return cell.fault in ("kill child", "restart db", "FLUSHALL", "restart redis", "disk full")
    return not (cell.point in FREEZING and cell.fault in PROVIDER)


CELLS = tuple(
    one for one in (Cell(point, fault) for point in NAMES for fault in FAULTS) if makes_sense(one)
)


@dataclass
class Plan:
    """Who meets what. by_place: what each mailbox's dispatches meet, one after the other."""

    seed: str
    by_place: list[list[Cell | None]] = field(default_factory=list)
    nameless: dict[str, list[Cell]] = field(default_factory=dict)
    asking: list[Cell] = field(default_factory=list)
    #: How many come by way of a batch: more than are struck, so that all strikes find somebody.
    frozen: int = 0

    @property
    def dispatches(self) -> int:
        """How many there are in all."""
        return sum(len(place) for place in self.by_place) + self.frozen + len(self.asking)


def make_plan(cells: Iterable[Cell], runs: int, mailboxes: int, seed: str) -> Plan:
    """Each cell `runs` times, LATE ones more often. The same fault strikes many mailboxes in a row,
    at different points, so that one restart or one kill is met at many points at once."""
    chance = random.Random(seed)
    plan = Plan(seed, [[] for _ in range(mailboxes)])
    wanted = list(cells)
    for turn in range(runs + runs * MORE_IN_TEN // 10):
        points = SENDING if turn < runs else LATE
        for fault in sorted(FAULTS, key=lambda _: chance.random()):
            sending = [one for one in wanted if one.fault == fault and one.point in points]
            chance.shuffle(sending)
            _deal(plan.by_place, sending)
    for one in wanted:
        if one.point in NAMELESS:
            plan.nameless.setdefault(one.point, []).extend([one] * runs)
        elif one.point in ASKING:
            plan.asking.extend([one] * runs)
    plan.frozen = 2 * sum(len(plan.nameless.get(point, ())) for point in FREEZING)
    for some in (*plan.nameless.values(), plan.asking):
        chance.shuffle(some)
    return plan


def _deal(places: list[list[Cell | None]], cells: list[Cell]) -> None:
    """To whoever has fewest so far, so that all come to the same fault at about the same time."""
    for cell in cells:
        min(places, key=len).append(cell)


def without(points: Collection[str]) -> list[Cell]:
    """All cells but those at points that a carrier never comes to."""
    return [one for one in CELLS if one.point not in points]


def sample(seed: str, each: int, of: Iterable[Cell] = CELLS) -> list[Cell]:
    """Some cells: each failpoint and each fault at least so often."""
    cells = list(of)
    random.Random(seed).shuffle(cells)
    chosen: list[Cell] = []
    for one in cells:
        of_point = sum(other.point == one.point for other in chosen)
        of_fault = sum(other.fault == one.fault for other in chosen)
        if of_point < each or of_fault < each:
            chosen.append(one)
    return chosen
