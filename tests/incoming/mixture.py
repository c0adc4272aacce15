"""Mixture: a flood as an office mailbox might see it, seeded, each mail with its label."""

import random
from collections.abc import Iterator
from dataclasses import replace

from tests.incoming import held_out, people, servers
from tests.incoming.mails import Builder, Labelled, story
from tests.incoming.wear import worn

#: How often each kind comes in, out of a hundred.
SHARES: list[tuple[int, list[Builder]]] = [
    (35, servers.BOUNCES),
    (15, servers.OTHERS),
    (20, people.PEOPLE),
    (15, people.MACHINES),
    (15, people.REST),
]


def flood(count: int, seed: int = 6) -> Iterator[Labelled]:
    """What the readers were written for."""
    chance = random.Random(seed)
    shares = [share for share, _ in SHARES]
    for _ in range(count):
        builders = chance.choices([one for _, one in SHARES], shares)[0]
        yield _arrived(chance.choice(builders)(story(chance)), chance)


def _arrived(mail: Labelled, chance: random.Random) -> Labelled:
    return replace(mail, raw=worn(mail.raw, chance))


def strange(count: int, seed: int = 7) -> Iterator[Labelled]:
    """What nobody looked at while they were written."""
    chance = random.Random(seed)
    for _ in range(count):
        yield _arrived(chance.choice(held_out.BUILDERS)(story(chance)), chance)
