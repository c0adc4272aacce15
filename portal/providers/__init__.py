"""The providers that carry mail. Each speaks one API and answers in the envelope's words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from portal.providers import gmail, graph, smtp
from portal.providers.gmail import Gmail
from portal.providers.graph import Graph
from portal.providers.provider import Abilities, Provider
from portal.providers.smtp import Smtp


@dataclass(frozen=True)
class Kind:
    """One kind of mailbox, as far as it can be told without calling anybody.

    label: what a person calls it. account: with whom one signs in to it; nothing where it has a
    password. abilities: what a mailbox offers with these permissions. full: the permissions that
    it takes for everything. lists: whether the provider keeps a list of the addresses a mailbox may
    send from; where it keeps none, an address counts once a test message has proved it. covers:
    which permissions a broader one makes needless.
    """

    label: str
    account: str
    abilities: Callable[[set[str]], Abilities]
    full: tuple[str, ...] = ()
    lists: bool = False
    covers: Mapping[str, frozenset[str]] = field(default_factory=dict)


KINDS = {
    "gmail": Kind(
        Gmail.label,
        "Google",
        gmail.abilities,
        gmail.WANTED_SCOPES,
        lists=True,
        covers=gmail.COVERS,
    ),
    "microsoft": Kind(Graph.label, "Microsoft", graph.abilities, graph.WANTED_SCOPES),
    "smtp": Kind(Smtp.label, "", smtp.abilities),
}

#: What each permission is called where people sign in, and what fails without it.
PERMISSIONS = gmail.PERMISSIONS | graph.PERMISSIONS

__all__ = ["KINDS", "PERMISSIONS", "Gmail", "Graph", "Kind", "Provider", "Smtp"]
