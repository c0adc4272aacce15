"""The stored sender policy: which rule holds where and for which kind, and who is ready for it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint, delete, func, select
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal import history, senders
from portal.accounts import User, active_people
from portal.documents import Document
from portal.documents.kinds import KINDS
from portal.extensions import Base, db
from portal.mailboxes import send_from_addresses
from portal.people import Contact, company
from portal.places import Branch, Property, Region
from portal.senders import Case, Choice, Mode, Person, Place, Rule, Scope, SendFrom

#: The kind under which the rule for every kind is stored: a unique column cannot hold two NULLs.
EVERY_KIND = ""
#: What the history of all rules is kept under: a dropped rule has no record of its own any more.
POLICY = "policy"
#: Where the company's own rules belong.
COMPANY = Place(Scope.COMPANY, 0, "")
#: The column of sender_rules that points at each scope's record.
COLUMNS = {
    Scope.REGION: "region_id",
    Scope.BRANCH: "branch_id",
    Scope.CUSTOMER: "customer_id",
    Scope.PROPERTY: "property_id",
}

_RECORDS: dict[Scope, type[Region | Branch | Contact | Property]] = {
    Scope.REGION: Region,
    Scope.BRANCH: Branch,
    Scope.CUSTOMER: Contact,
    Scope.PROPERTY: Property,
}


def _one_place() -> str:
    """SQL: exactly the scope's own column is filled, so that no rule belongs nowhere or twice."""
    alone = [
        f"(scope = '{scope}' AND "
        + " AND ".join(
            f"{column} IS {'NOT NULL' if column == mine else 'NULL'}" for column in COLUMNS.values()
        )
        + ")"
        for scope, mine in [(Scope.COMPANY, ""), *COLUMNS.items()]
    ]
    return " OR ".join(alone)


class SenderRule(Base):
    """One stored rule. target names its place in one word ("company", "branch:3")."""

    __tablename__ = "sender_rules"
    __table_args__ = (
        UniqueConstraint("target", "kind"),
        CheckConstraint(_one_place(), name="one_place"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    scope: Mapped[str] = mapped_column(default=Scope.COMPANY)
    target: Mapped[str] = mapped_column(default="company")
    region_id: Mapped[int | None] = mapped_column(ForeignKey("regions.id"), index=True)
    branch_id: Mapped[int | None] = mapped_column(ForeignKey("branches.id"), index=True)
    customer_id: Mapped[int | None] = mapped_column(ForeignKey("contacts.id"), index=True)
    property_id: Mapped[int | None] = mapped_column(ForeignKey("properties.id"), index=True)
    kind: Mapped[str]
    mode: Mapped[str]
    address: Mapped[str] = mapped_column(default="")
    name: Mapped[str] = mapped_column(default="")
    version: Mapped[int] = mapped_column(default=1)

    region: Mapped[Region | None] = relationship(lazy="joined")
    branch: Mapped[Branch | None] = relationship(lazy="joined")
    customer: Mapped[Contact | None] = relationship(lazy="joined", foreign_keys=customer_id)
    property_: Mapped[Property | None] = relationship(lazy="joined")

    __mapper_args__ = {"version_id_col": version}

    @property
    def where(self) -> Region | Branch | Contact | Property | None:
        """The record it belongs to; None for the company's."""
        return self.region or self.branch or self.customer or self.property_

    @property
    def place(self) -> Place:
        """Where it holds."""
        where = self.where
        return Place(Scope(self.scope), where.id, where.name) if where else COMPANY

    def as_rule(self) -> Rule:
        place = self.place
        return Rule(
            Mode(self.mode),
            self.kind or None,
            self.address,
            self.name,
            place.scope,
            place.id,
            place.name,
        )


@dataclass(frozen=True)
class Readiness:
    """Whether one person's documents could leave under a rule, and if not, why."""

    user: User
    choice: Choice


# -- the stored rules ----------------------------------------------------------------------------


def rules(places: Iterable[Place] | None = None) -> list[Rule]:
    """The stored rules, of every place or of the company and the named places alone."""
    query = select(
        SenderRule.mode,
        SenderRule.kind,
        SenderRule.address,
        SenderRule.name,
        SenderRule.scope,
        func.coalesce(Region.id, Branch.id, Contact.id, Property.id, 0),
        func.coalesce(Region.name, Branch.name, Contact.name, Property.name, ""),
    )
    for where in (SenderRule.region, SenderRule.branch, SenderRule.customer, SenderRule.property_):
        query = query.outerjoin(where)
    if places is not None:
        targets = [target(place) for place in (COMPANY, *places)]
        query = query.where(SenderRule.target.in_(targets))
    rows = db.session.execute(query.order_by(SenderRule.id))
    return [
        Rule(Mode(mode), kind or None, address, name, Scope(scope), id_, place)
        for mode, kind, address, name, scope, id_, place in rows
    ]


def how_many_elsewhere() -> int:
    """How many rules stand at narrower places than the company."""
    query = select(func.count()).select_from(SenderRule)
    return db.session.scalar(query.where(SenderRule.scope != Scope.COMPANY)) or 0


def rule(kind: str = EVERY_KIND, place: Place = COMPANY) -> Rule | None:
    """The rule stored for a kind at a place itself; None where it follows a wider one."""
    found = stored_at(kind, place)
    return found.as_rule() if found else None


def stored_at(kind: str, place: Place) -> SenderRule | None:
    """The row of that rule."""
    query = select(SenderRule).where(SenderRule.kind == kind)
    return db.session.scalars(query.where(SenderRule.target == target(place))).unique().first()


def rows_at(places: Iterable[Place]) -> list[SenderRule]:
    """The rows of the rules that stand at these very places."""
    words = [target(place) for place in places]
    query = select(SenderRule).where(SenderRule.target.in_(words))
    return list(db.session.scalars(query).unique())


def set_rule(
    kind: str,
    mode: Mode,
    address: str = "",
    name: str = "",
    place: Place = COMPANY,
    *,
    actor: str = "",
) -> None:
    """Store a rule, replacing the former one of its place and kind. Commits."""
    put_rule(kind, mode, address, name, place, actor=actor)
    db.session.commit()


def put_rule(
    kind: str,
    mode: Mode,
    address: str = "",
    name: str = "",
    place: Place = COMPANY,
    *,
    actor: str = "",
) -> SenderRule:
    """set_rule() as one part of something larger: the caller commits."""
    found = stored_at(kind, place)
    before = found.as_rule() if found else None
    if found is None:
        found = SenderRule(kind=kind, scope=place.scope, target=target(place))
        if place.scope in COLUMNS:
            setattr(found, COLUMNS[place.scope], place.id)
        db.session.add(found)
    found.mode, found.address, found.name = mode, address.lower(), name
    db.session.flush()
    wanted = Rule(mode, kind or None, address.lower(), name, place.scope, place.id, place.name)
    if wanted != before:
        instead = f", no longer {senders.source(before)}" if before else ""
        _note(wanted, f"now {_comes(wanted)} {senders.source(wanted)}{instead}.", actor)
    return found


def drop_rule(kind: str, place: Place = COMPANY, *, actor: str = "") -> None:
    """Let a kind follow the wider rule again. Commits."""
    found = stored_at(kind, place)
    if found is not None:
        _note(found.as_rule(), "no longer has a rule there.", actor)
        db.session.execute(delete(SenderRule).where(SenderRule.id == found.id))
    db.session.commit()


def target(place: Place) -> str:
    """A place in one word, as pages and rows name it: "company", "branch:3"."""
    return f"{place.scope}:{place.id}" if place.id else str(place.scope)


def place_named(word: str) -> Place | None:
    """The place that target() named, if it is there (still)."""
    scope, _, number = word.partition(":")
    if word == COMPANY.scope:
        return COMPANY
    if scope not in _RECORDS or not number.isdecimal() or len(number) > 9:
        return None
    found: Any = db.session.get(_RECORDS[Scope(scope)], int(number))
    return Place(Scope(scope), found.id, found.name) if found else None


def where(place: Place) -> str:
    """A place in words: "the company", "the branch Newcastle"."""
    return f"the {place.scope} {place.name}".strip()


def kind_words(kind: str | None) -> str:
    """What a rule is for, as it begins a sentence: "Invoices", "Every document"."""
    return KINDS[kind].plural if kind else "Every document"


def _comes(one: Rule) -> str:
    return "come from" if one.kind else "comes from"


def _note(one: Rule, text: str, actor: str) -> None:
    at = "" if one.scope is Scope.COMPANY else f" of {where(one.place)}"
    history.note(POLICY, 0, f"{kind_words(one.kind)}{at}: {text}", actor)


# -- where a document hangs ----------------------------------------------------------------------


def case_of(document: Document, user: User, *, company_only: bool = False) -> Case:
    """What the policy looks at of a document that this person sends."""
    where = document.property_
    manager = where.account_manager if where else None
    return Case(
        kind=document.kind,
        kind_label=document.kind_facts.plural.lower(),
        person=user.person,
        places=places_of(document.branch, document.contact, where),
        manager=manager.person if manager else None,
        about=where.name if where else "",
        company_only=company_only,
    )


def case_at(kind: str, place: Place, person: Person, *, company_only: bool = False) -> Case:
    """What the policy would look at of a document of a kind at a place, sent by this person."""
    record = db.session.get(_RECORDS[place.scope], place.id) if place.id else None
    manager = record.account_manager if isinstance(record, Property) else None
    return Case(
        kind=kind,
        kind_label=KINDS[kind].plural.lower(),
        person=person,
        places=_chain(record),
        manager=manager.person if manager else None,
        about=place.name if isinstance(record, Property) else "",
        company_only=company_only,
    )


def _chain(record: Base | None) -> tuple[Place, ...]:
    """The places from the region down to this record."""
    match record:
        case Property():
            return places_of(record.branch, record.customer, record)
        case Contact():
            return places_of(None, record, None)
        case Branch():
            return places_of(record, None, None)
        case Region():
            return (Place(Scope.REGION, record.id, record.name),)
        case _:
            return ()


def places_of(
    branch: Branch | None, customer: Contact | None, where: Property | None
) -> tuple[Place, ...]:
    """The chain from the region down, without the links that are not there."""
    region = branch.region if branch else None
    links = (
        (Scope.REGION, region),
        (Scope.BRANCH, branch),
        (Scope.CUSTOMER, where.customer if where else customer),
        (Scope.PROPERTY, where),
    )
    return tuple(Place(scope, one.id, one.name) for scope, one in links if one is not None)


# -- one sending ---------------------------------------------------------------------------------


def may_choose_once(user: User) -> bool:
    """Whether this person may send one document from another address than the rules say."""
    return user.is_manager or company().one_off == "everyone"


def once_choices(document: Document, user: User) -> list[Choice]:
    """What this person may choose for one sending of a document, each with its rule; no From twice.

    The company mailbox, themselves, the property's account manager, and every verified address of
    the company. Empty for whom may_choose_once() refuses.
    """
    if not may_choose_once(user):
        return []
    scene, case = Scene(), case_of(document, user)
    found: dict[str, Choice] = {}
    for one in _once_rules(case, scene.addresses):
        choice = scene.choose(case, one)
        if choice.sender is not None:
            found.setdefault(choice.sender.email.casefold(), choice)
    return list(found.values())


def once_key(choice: Choice) -> str:
    """A choice for one sending as a form carries it; "" for what the rules say by themselves."""
    made = choice.rule
    if made is None or made.scope is not Scope.SENDING:
        return ""
    return f"{made.mode}:{made.address}" if made.address else str(made.mode)


def once_named(key: str, document: Document, user: User) -> Rule | None:
    """The rule behind once_key(); None where this person may not choose that for this document."""
    return next((one.rule for one in once_choices(document, user) if once_key(one) == key), None)


def _once_rules(case: Case, addresses: Iterable[SendFrom]) -> Iterator[Rule]:
    """What can be chosen, the ones with a person or a mailbox behind them before bare addresses."""
    once = Rule(Mode.DEFAULT, scope=Scope.SENDING, scope_name=case.person.name)
    yield once
    yield replace(once, mode=Mode.USER)
    if case.manager is not None and case.manager.active:
        yield replace(once, mode=Mode.ACCOUNT_MANAGER)
    for one in addresses:
        if one.owner_id is None and one.verification == "accepted":
            yield replace(once, mode=Mode.SPECIFIED, address=one.email)


# -- deciding ------------------------------------------------------------------------------------


def sender_of(document: Document, user: User, once: Rule | None = None) -> Choice:
    """Who this document comes from when this person sends it now; once: chosen for this time."""
    case = case_of(document, user)
    return Scene(rules(case.places)).choose(case, once)


def choose_for(kind: str, user: User) -> Choice:
    """Who this person's document of this kind comes from by the company's own rules."""
    return Scene().choose(plain_case(kind, user.person))


def sample(kind: str, mode: Mode, address: str, user: User) -> Choice:
    """What choose_for() would answer if this rule were stored."""
    return _as_if(kind, mode, address).choose(plain_case(kind, user.person))


def readiness(kind: str, mode: Mode, address: str = "") -> list[Readiness]:
    """For every person who can sign in: would their documents leave under this rule?"""
    return _everybody(kind, _as_if(kind, mode, address))


def readiness_now(kind: str = EVERY_KIND) -> list[Readiness]:
    """The same for the rules as they are."""
    return _everybody(kind, Scene())


def plain_case(kind: str, person: Person) -> Case:
    """A document of a kind that hangs on no place."""
    return Case(kind, KINDS[kind].plural.lower() if kind else "every document", person)


def _everybody(kind: str, scene: "Scene") -> list[Readiness]:
    return [
        Readiness(user, scene.choose(plain_case(kind, user.person))) for user in active_people()
    ]


def _as_if(kind: str, mode: Mode, address: str) -> "Scene":
    wanted = Rule(mode, kind or None, address.lower())
    same = (wanted.kind, wanted.scope)
    return Scene([wanted, *(one for one in rules() if (one.kind, one.scope) != same)])


class Scene:
    """All that decisions look at, read once for as many documents and people as are asked about."""

    def __init__(
        self, stored: Iterable[Rule] | None = None, addresses: list[SendFrom] | None = None
    ) -> None:
        self._company = company().name
        self.addresses = send_from_addresses() if addresses is None else addresses
        self._rules: dict[tuple[Scope, int], list[Rule]] = {}
        self._decided: dict[tuple[Rule, str, Person, bool], Choice] = {}
        for one in rules() if stored is None else stored:
            self._rules.setdefault((one.scope, one.scope_id), []).append(one)

    def choose(self, case: Case, once: Rule | None = None) -> Choice:
        """senders.choose(), without looking at rules of other places, or deciding a thing twice."""
        found = once or senders.rule_for(case, self._about(case))
        if found.mode is Mode.ACCOUNT_MANAGER:  # its sentences name the property
            return self._decide(found, case)
        key = (found, case.kind, case.person, case.company_only)
        if key not in self._decided:
            self._decided[key] = self._decide(found, replace(case, places=(), manager=None))
        return self._decided[key]

    def _decide(self, found: Rule, case: Case) -> Choice:
        return senders.decide(found, case, company=self._company, addresses=self.addresses)

    def _about(self, case: Case) -> list[Rule]:
        keys = [(Scope.COMPANY, 0), *((one.scope, one.id) for one in case.places)]
        return [rule for key in keys for rule in self._rules.get(key, ())]
