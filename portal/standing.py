"""Standing: how the stored rules of the sender policy stand: who is ready, what never counts."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from portal import ladder, policy
from portal.accounts import User, active_people
from portal.documents.kinds import KINDS
from portal.extensions import db
from portal.ladder import Shadow, Site, Tree
from portal.people import company
from portal.places import Branch, Property
from portal.policy import COMPANY, Scene, SenderRule, plain_case
from portal.senders import Case, Choice, Mode, Person, Place, Rule, Scope


@dataclass(frozen=True)
class ManagerStanding:
    """One account manager: how many properties are theirs, and whether their mail could leave."""

    user: User
    properties: int
    choice: Choice


@dataclass(frozen=True)
class Managers:
    """The account managers of the properties at a place, by name; unmanaged counts properties."""

    known: tuple[ManagerStanding, ...] = ()
    unmanaged: int = 0

    @property
    def ready(self) -> list[ManagerStanding]:
        return [one for one in self.known if one.choice.ready]

    @property
    def not_ready(self) -> list[ManagerStanding]:
        """Who works here, but cannot send yet."""
        return [one for one in self.known if one.user.active and not one.choice.ready]

    @property
    def left(self) -> list[ManagerStanding]:
        """Who works here no longer, and still has properties."""
        return [one for one in self.known if not one.user.active]

    @property
    def properties(self) -> int:
        return self.unmanaged + sum(one.properties for one in self.known)

    @property
    def waiting(self) -> int:
        """How many properties' mail would wait."""
        return self.properties - sum(one.properties for one in self.ready)


@dataclass(frozen=True)
class Standing:
    """One stored rule: what it comes to now.

    choice is None where it depends on who presses Send or manages the property; then people or
    managers tell. archived: its place is no longer in use.
    """

    stored: SenderRule
    rule: Rule
    shadow: Shadow | None = None
    choice: Choice | None = None
    people: tuple[tuple[Person, Choice], ...] = ()
    managers: Managers = field(default_factory=Managers)

    @property
    def archived(self) -> bool:
        return not getattr(self.stored.where, "active", True)

    @property
    def people_not_ready(self) -> list[tuple[Person, Choice]]:
        return [(person, choice) for person, choice in self.people if not choice.ready]

    @property
    def ready(self) -> bool:
        """Whether everything that goes by this rule could leave now."""
        sure = self.choice is None or self.choice.ready
        return sure and not self.people_not_ready and not self.managers.waiting


def overview(viewer: Person) -> list[Standing]:
    """Every stored rule, the widest scope first, then by place and kind."""
    stored = db.session.scalars(select(SenderRule)).unique().all()
    rules = [one.as_rule() for one in stored]
    shadows = ladder.shadowed(rules, _tree(rules), list(KINDS))
    scene, people = Scene(rules), [one.person for one in active_people()]
    found = [
        _standing(Standing(one, rule, shadows.get(rule.key)), scene, viewer, people)
        for one, rule in zip(stored, rules, strict=True)
    ]
    return sorted(found, key=lambda one: _order(one.rule))


def why_own_address_counts(user: User) -> str:
    """Which rule may have mail leave from this person's own address; "" where none does."""
    modes = {rule.mode for rule in policy.rules()}
    if Mode.USER in modes:
        return "mail comes from whoever presses Send"
    mine = select(func.count()).select_from(Property)
    count = db.session.scalar(mine.where(Property.active, Property.account_manager_id == user.id))
    if Mode.ACCOUNT_MANAGER in modes and count:
        what = "a property" if count == 1 else f"{count:,} properties"
        return f"mail comes from account managers, and you look after {what}"
    return ""


def managers_at(place: Place = COMPANY, kind: str = "", scene: Scene | None = None) -> Managers:
    """Who manages the properties in use at a place, and whether their mail could leave now."""
    scene = scene or Scene()
    query = (
        select(Property.account_manager_id, func.count())
        .where(Property.active, *_inside(place))
        .group_by(Property.account_manager_id)
    )
    counts = dict(db.session.execute(query).all())
    unmanaged = counts.pop(None, 0)
    users = db.session.scalars(select(User).where(User.id.in_(counts)).order_by(User.name))
    known = [
        ManagerStanding(user, counts[user.id], _as_manager(user, kind, scene)) for user in users
    ]
    return Managers(tuple(known), unmanaged)


def _as_manager(user: User, kind: str, scene: Scene) -> Choice:
    """What comes of a document of one of this manager's properties."""
    plain = plain_case(kind, user.person)
    about = "some properties"
    case = Case(kind, plain.kind_label, user.person, (), user.person, about)
    return scene.choose(case, Rule(Mode.ACCOUNT_MANAGER, kind or None))


def _standing(bare: Standing, scene: Scene, viewer: Person, people: Iterable[Person]) -> Standing:
    """With who is ready for the rule."""
    rule = bare.rule
    match rule.mode:
        case Mode.USER:
            choices = tuple((one, _for(rule, one, scene)) for one in people)
            return replace(bare, people=choices)
        case Mode.ACCOUNT_MANAGER:
            return replace(bare, managers=managers_at(rule.place, rule.kind or "", scene))
        case _:
            return replace(bare, choice=_for(rule, viewer, scene))


def _for(rule: Rule, person: Person, scene: Scene) -> Choice:
    return scene.choose(plain_case(rule.kind or "", person), rule)


def _order(rule: Rule) -> tuple[int, str, int, int]:
    kinds = [None, *KINDS]
    return (
        list(Scope).index(rule.scope),
        rule.scope_name.casefold(),
        rule.scope_id,
        kinds.index(rule.kind),
    )


def _inside(place: Place) -> Iterator[ColumnElement[bool]]:
    """Which properties lie at a place."""
    match place.scope:
        case Scope.REGION:
            inside = select(Branch.id).where(Branch.region_id == place.id)
            yield Property.branch_id.in_(inside)
        case Scope.BRANCH:
            yield Property.branch_id == place.id
        case Scope.CUSTOMER:
            yield Property.customer_id == place.id
        case Scope.PROPERTY:
            yield Property.id == place.id


def _tree(rules: list[Rule]) -> Tree:
    """Which places lie in which, read as far as these rules need it."""
    ids: dict[Scope, list[int]] = {scope: [] for scope in Scope}
    for rule in rules:
        ids[rule.scope].append(rule.scope_id)
    branches = select(Branch.id, Branch.region_id).where(Branch.active)
    regions = dict(db.session.execute(branches).all())
    ruled = or_(Property.id.in_(ids[Scope.PROPERTY]), Property.customer_id.in_(ids[Scope.CUSTOMER]))
    sites = db.session.execute(
        select(Property.id, Property.customer_id, Property.branch_id).where(Property.active, ruled)
    )
    return Tree(
        branches=regions,
        sites=tuple(Site(*row) for row in sites),
        in_branch=_counts(Property.branch_id, ids[Scope.BRANCH]),
        of_customer=_counts(Property.customer_id, ids[Scope.CUSTOMER]),
        reaches_company=not regions or company().mixed_batches == "company",
    )


def _counts(column: InstrumentedAttribute[Any], ids: list[int]) -> dict[int, int]:
    """How many properties in use each of these places has."""
    query = select(column, func.count()).where(Property.active, column.in_(ids)).group_by(column)
    return dict(db.session.execute(query).all())
