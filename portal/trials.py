"""Trials: the round of real tests, one for each sender in use, ticked by who saw them arrive."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, UniqueConstraint, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal import dispatch, policy, standing
from portal.accounts import User
from portal.columns import UtcDateTime, now
from portal.dispatch import Dispatch, Purpose
from portal.envelope import Mailable
from portal.extensions import Base, db
from portal.mailboxes import send_from_addresses
from portal.people import company
from portal.senders import Choice, Scope, find, trouble_with


class Outcome(StrEnum):
    """What somebody saw of a test."""

    ARRIVED = "arrived"
    OTHER_FROM = "other_from"
    MISSING = "missing"


OUTCOMES = {
    Outcome.ARRIVED: "It arrived, from this address",
    Outcome.OTHER_FROM: "It arrived, but from another address",
    Outcome.MISSING: "It did not arrive",
}


class TrialRound(Base):
    """One round of tests."""

    __tablename__ = "trial_rounds"

    id: Mapped[int] = mapped_column(primary_key=True)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    started_by_id: Mapped[int] = mapped_column(ForeignKey("users.id"))

    started_by: Mapped[User] = relationship()
    trials: Mapped[list["Trial"]] = relationship(
        back_populates="round", order_by="Trial.id", cascade="all, delete-orphan"
    )

    @property
    def seen(self) -> int:
        """How many tests somebody saw arrive as they should."""
        return sum(one.outcome == Outcome.ARRIVED for one in self.trials)

    @property
    def done(self) -> bool:
        return self.seen == len(self.trials)


class Trial(Base):
    """One sender's test: sent, and seen by somebody, or not seen."""

    __tablename__ = "trials"
    __table_args__ = (UniqueConstraint("round_id", "sender_email"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    round_id: Mapped[int] = mapped_column(ForeignKey("trial_rounds.id", ondelete="CASCADE"))
    sender_email: Mapped[str]
    to_email: Mapped[str] = mapped_column(default="")
    dispatch_id: Mapped[int | None] = mapped_column(ForeignKey("dispatches.id"))
    outcome: Mapped[str] = mapped_column(default="")
    note: Mapped[str] = mapped_column(default="")
    settled_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    settled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    round: Mapped[TrialRound] = relationship(back_populates="trials")
    dispatch: Mapped[Dispatch | None] = relationship()
    settled_by: Mapped[User | None] = relationship()


@dataclass(frozen=True)
class InUse:
    """A send-from address that some rule leads to now, and what keeps it from sending."""

    email: str
    name: str
    why: str
    problem: str

    @property
    def ready(self) -> bool:
        return not self.problem


class CannotTest(Exception):
    """A test that was not sent; the message says why."""


def senders_in_use(viewer: User) -> list[InUse]:
    """Every address that mail may come from by the rules there are, each once, in their order."""
    found: dict[str, InUse] = {}
    for choice, why in _choices(viewer):
        if choice.sender is not None:
            email = choice.sender.email
            one = InUse(email, choice.sender.name, why, choice.problem)
            found.setdefault(email.casefold(), one)
    return list(found.values())


def latest() -> TrialRound | None:
    """The newest round."""
    query = select(TrialRound).order_by(TrialRound.id.desc()).limit(1)
    return db.session.scalars(query).first()


def earlier(limit: int = 20) -> list[TrialRound]:
    """The rounds before the newest."""
    query = select(TrialRound).order_by(TrialRound.id.desc()).offset(1).limit(limit)
    return list(db.session.scalars(query))


def start(user: User) -> TrialRound:
    """Begin a round with every sender in use. Commits."""
    made = TrialRound(started_by=user)
    made.trials = [Trial(sender_email=one.email) for one in senders_in_use(user)]
    db.session.add(made)
    db.session.commit()
    return made


def add_missing(round_: TrialRound, user: User) -> int:
    """Take senders that came into use since into the round; how many. Commits."""
    missing = not_in(round_, senders_in_use(user))
    round_.trials += [Trial(sender_email=one.email) for one in missing]
    try:
        db.session.commit()
    except IntegrityError:  # somebody pressed it a moment ago
        db.session.rollback()
        return 0
    return len(missing)


def not_in(round_: TrialRound, in_use: list[InUse]) -> list[InUse]:
    """Those of the senders in use that a round does not test."""
    tested = {one.sender_email.casefold() for one in round_.trials}
    return [one for one in in_use if one.email.casefold() not in tested]


def send(trial: Trial, to: str, user: User) -> Dispatch:
    """Send one real mail from the trial's own address. A double press is one mail. Commits.

    to: a clean address. Raises CannotTest; nothing ever leaves from another address instead.
    """
    found = find(trial.sender_email, send_from_addresses(), user.id)
    trouble, problem = trouble_with(trial.sender_email, found)
    if trouble is not None or found is None:
        raise CannotTest(problem)
    key = f"trial/{trial.id}/{trial.dispatch_id or 0}"
    subject = f"[Test] Mail from {trial.sender_email}"
    text = _letter(trial.sender_email, user)
    asked = dispatch.notice(
        key, Mailable(to), subject, text, found, user=user, purpose=Purpose.TEST
    )
    trial.dispatch_id, trial.to_email = asked.id, to
    trial.outcome, trial.note, trial.settled_by_id, trial.settled_at = "", "", None, None
    db.session.commit()
    return asked


def settle(trial: Trial, outcome: Outcome, user: User, note: str = "") -> None:
    """Somebody saw it arrive, or did not. Raises CannotTest before it was sent. Commits."""
    if trial.dispatch_id is None:
        raise CannotTest("Send this test first.")
    trial.outcome, trial.note = outcome, note
    trial.settled_by_id, trial.settled_at = user.id, now()
    db.session.commit()


def _choices(viewer: User) -> Iterator[tuple[Choice, str]]:
    """What every rule that counts comes to, with the words that say where it holds."""
    rules = standing.overview(viewer.person)
    if not any(one.rule.scope is Scope.COMPANY and one.rule.kind is None for one in rules):
        choice = policy.choose_for(policy.EVERY_KIND, viewer)
        yield choice, choice.reason
    for one in rules:
        if one.shadow is not None:
            continue
        if one.choice is not None:
            yield one.choice, one.choice.reason
        yield from ((choice, choice.reason) for _person, choice in one.people)
        yield from ((each.choice, each.choice.reason) for each in one.managers.known)


def _letter(sender: str, user: User) -> str:
    """What the test says: what to look at, and whom to tell."""
    ours = company().name
    return (
        f"Hello,\n\n"
        f"this is a test of {ours}. It should show as coming from {sender}.\n\n"
        f"If it lies in your spam folder, or shows another address, please tell {user.name}. "
        f"Otherwise there is nothing to do.\n\n"
        f"{user.name}\n{ours}"
    )
