"""The ladder: what the sender policy looks at for one document, rung by rung, from its property up.

Pure. explain() shows the climb for one case; shadowed() finds the rules that no climb ever reaches.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from portal.senders import Case, Place, Rule, Scope

#: From the most specific scope that can be stored up to the company's.
CLIMB = (Scope.PROPERTY, Scope.CUSTOMER, Scope.BRANCH, Scope.REGION, Scope.COMPANY)


@dataclass(frozen=True)
class Rung:
    """One scope of the climb, and the rules that stand there for a document's kind.

    place None: the document hangs on no such place. counts: this rung decides; at the company's
    without any rule, that is its mailbox. aside: not looked at, for a batch over several branches.
    """

    scope: Scope
    place: Place | None
    own: Rule | None = None
    general: Rule | None = None
    counts: bool = False
    aside: bool = False

    @property
    def rule(self) -> Rule | None:
        """The one of the two that holds here: the kind's own before the one for every kind."""
        return self.own or self.general


def explain(case: Case, rules: Iterable[Rule]) -> tuple[Rung, ...]:
    """The climb for one case, from the property up to the company. Exactly one rung counts."""
    stored = _Stored(rules)
    company = Place(Scope.COMPANY, 0, "")
    places = {place.scope: place for place in (*case.places, company)}
    rungs: list[Rung] = []
    for scope in CLIMB:
        place, aside = places.get(scope), case.company_only and scope is not Scope.COMPANY
        own = stored.own(place, case.kind) if place else None
        general = stored.own(place, None) if place else None
        holds = scope is Scope.COMPANY or bool((own or general) and not aside)
        counts = holds and not any(one.counts for one in rungs)
        rungs.append(Rung(scope, place, own, general, counts, aside))
    return tuple(rungs)


@dataclass(frozen=True)
class Site:
    """A property, as far as it says whose rules hold there."""

    id: int
    customer_id: int
    branch_id: int | None


@dataclass(frozen=True)
class Tree:
    """Which places in use lie in which, as far as the stored rules need to know.

    branches: each branch's region. sites: every property that has, or whose customer has, a rule.
    in_branch, of_customer: how many properties there are in all. reaches_company: some documents
    go by the company's rules whatever the branches say: there is no branch yet, or a batch over
    several branches goes by the company's.
    """

    branches: Mapping[int, int] = field(default_factory=dict)
    sites: tuple[Site, ...] = ()
    in_branch: Mapping[int, int] = field(default_factory=dict)
    of_customer: Mapping[int, int] = field(default_factory=dict)
    reaches_company: bool = True


@dataclass(frozen=True)
class Shadow:
    """Why a rule can never count, and the rules that stand before it.

    partly: it still counts for documents without a property.
    """

    why: str
    by: tuple[Rule, ...] = ()
    partly: bool = False


def shadowed(
    rules: Collection[Rule], tree: Tree, kinds: Collection[str]
) -> dict[tuple[Scope, int, str | None], Shadow]:
    """The rules that nothing ever reaches, by scope, place and kind."""
    stored = _Stored(rules)
    found = {rule.key: _shadow(rule, stored, tree, kinds) for rule in rules}
    return {key: shadow for key, shadow in found.items() if shadow is not None}


class _Stored:
    """Rules by where they stand."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._known = {rule.key: rule for rule in rules}

    def own(self, place: Place, kind: str | None) -> Rule | None:
        return self._known.get((place.scope, place.id, kind))

    def at(self, scope: Scope, id_: int, kind: str) -> Rule | None:
        """What decides a kind at a place itself."""
        return self._known.get((scope, id_, kind)) or self._known.get((scope, id_, None))


def _shadow(rule: Rule, stored: _Stored, tree: Tree, kinds: Collection[str]) -> Shadow | None:
    left = [kind for kind in kinds if stored.at(rule.scope, rule.scope_id, kind) == rule]
    if not left:
        own = [stored.at(rule.scope, rule.scope_id, kind) for kind in kinds]
        return Shadow("Every kind of document has its own rule there.", _once(own))
    match rule.scope:
        case Scope.COMPANY:
            return _by_branches_of_company(left, stored, tree)
        case Scope.REGION:
            return _by_branches(rule, left, stored, tree)
        case Scope.BRANCH | Scope.CUSTOMER:
            return _by_properties(rule, left, stored, tree)
        case _:
            return None


def _by_branches_of_company(kinds: list[str], stored: _Stored, tree: Tree) -> Shadow | None:
    if tree.reaches_company or not tree.branches:
        return None
    by = [
        stored.at(Scope.BRANCH, branch, kind) or stored.at(Scope.REGION, region, kind)
        for branch, region in tree.branches.items()
        for kind in kinds
    ]
    return None if None in by else Shadow("Every branch has a rule that stands first.", _once(by))


def _by_branches(rule: Rule, kinds: list[str], stored: _Stored, tree: Tree) -> Shadow | None:
    inside = [branch for branch, region in tree.branches.items() if region == rule.scope_id]
    if not inside:
        return Shadow("No branch in use lies in this region.")
    by = [stored.at(Scope.BRANCH, branch, kind) for branch in inside for kind in kinds]
    return None if None in by else Shadow("Each of its branches has its own rule.", _once(by))


def _by_properties(rule: Rule, kinds: list[str], stored: _Stored, tree: Tree) -> Shadow | None:
    inside = list(_sites_of(rule, tree))
    count = tree.in_branch if rule.scope is Scope.BRANCH else tree.of_customer
    if not inside or len(inside) < count.get(rule.scope_id, 0):
        return None
    by = [_before(rule, site, kind, stored) for site in inside for kind in kinds]
    if None in by:
        return None
    why = "It counts only for documents without a property: a rule stands first at each property."
    return Shadow(why, _once(by), partly=True)


def _sites_of(rule: Rule, tree: Tree) -> Iterator[Site]:
    for site in tree.sites:
        if rule.scope_id == (site.branch_id if rule.scope is Scope.BRANCH else site.customer_id):
            yield site


def _before(rule: Rule, site: Site, kind: str, stored: _Stored) -> Rule | None:
    """What decides a kind at a property before a rule of its branch or its customer can."""
    own = stored.at(Scope.PROPERTY, site.id, kind)
    if own or rule.scope is Scope.CUSTOMER:
        return own
    return stored.at(Scope.CUSTOMER, site.customer_id, kind)


def _once(rules: Iterable[Rule | None]) -> tuple[Rule, ...]:
    return tuple(dict.fromkeys(rule for rule in rules if rule is not None))
