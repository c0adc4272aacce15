"""The stored sender policy: which rule holds for which kind, and who is ready for it."""

from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Mapped, mapped_column

from portal import senders
from portal.accounts import User, active_people
from portal.documents.kinds import KINDS
from portal.extensions import Base, db
from portal.mailboxes import send_from_addresses
from portal.people import company
from portal.senders import Choice, Mode, Rule

#: The kind under which the rule for every kind is stored: a unique column cannot hold two NULLs.
EVERY_KIND = ""


class SenderRule(Base):
    """One stored rule: the company's (kind "") or one kind's own."""

    __tablename__ = "sender_rules"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(unique=True)
    mode: Mapped[str]
    address: Mapped[str] = mapped_column(default="")
    name: Mapped[str] = mapped_column(default="")

    def as_rule(self) -> Rule:
        return Rule(Mode(self.mode), self.kind or None, self.address, self.name)


@dataclass(frozen=True)
class Readiness:
    """Whether one person's documents could leave under a rule, and if not, why."""

    user: User
    choice: Choice


def rules() -> list[Rule]:
    return [one.as_rule() for one in db.session.scalars(select(SenderRule))]


def rule(kind: str = EVERY_KIND) -> Rule | None:
    """The rule stored for a kind itself; None where the kind follows the company."""
    found = db.session.scalar(select(SenderRule).where(SenderRule.kind == kind))
    return found.as_rule() if found else None


def set_rule(kind: str, mode: Mode, address: str = "", name: str = "") -> None:
    """Store a rule, replacing the kind's former one. Commits."""
    found = db.session.scalar(select(SenderRule).where(SenderRule.kind == kind))
    if found is None:
        found = SenderRule(kind=kind)
        db.session.add(found)
    found.mode, found.address, found.name = mode, address.lower(), name
    db.session.commit()


def follow_company(kind: str) -> None:
    """Drop a kind's own rule. Commits."""
    db.session.execute(delete(SenderRule).where(SenderRule.kind == kind))
    db.session.commit()


def choose_for(kind: str, user: User) -> Choice:
    """Who this person's document of this kind comes from, now."""
    return _Scene(rules()).choose(kind, user)


def sample(kind: str, mode: Mode, address: str, user: User) -> Choice:
    """What choose_for() would answer if this rule were stored."""
    return _as_if(kind, mode, address).choose(kind, user)


def readiness(kind: str, mode: Mode, address: str = "") -> list[Readiness]:
    """For every person who can sign in: would their documents leave under this rule?"""
    scene = _as_if(kind, mode, address)
    return [Readiness(user, scene.choose(kind, user)) for user in active_people()]


def readiness_now(kind: str = EVERY_KIND) -> list[Readiness]:
    """The same for the rules as they are."""
    scene = _Scene(rules())
    return [Readiness(user, scene.choose(kind, user)) for user in active_people()]


def _as_if(kind: str, mode: Mode, address: str) -> "_Scene":
    others = [one for one in rules() if (one.kind or EVERY_KIND) != kind]
    return _Scene([Rule(mode, kind or None, address.lower()), *others])


class _Scene:
    """Everything the decision looks at, read once for as many people as are asked about."""

    def __init__(self, stored: list[Rule]) -> None:
        self._rules = stored
        self._company = company().name
        self._addresses = send_from_addresses()

    def choose(self, kind: str, user: User) -> Choice:
        return senders.choose(
            kind=kind,
            kind_label=KINDS[kind].plural.lower() if kind else "every document",
            person=user.person,
            company=self._company,
            rules=self._rules,
            addresses=self._addresses,
        )
