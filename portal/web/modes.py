"""Modes on a form: who mail comes from, as a person chooses it, with what each would come to."""

from dataclasses import dataclass, field, replace
from typing import Any

from flask import url_for
from flask_login import current_user
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm.exc import StaleDataError
from werkzeug.datastructures import MultiDict

from portal import history, mailboxes, policy, relay, senders, standing
from portal.accounts import User, active_people
from portal.approaches import first_mailbox
from portal.extensions import db
from portal.people import BadAddress, clean_address
from portal.policy import COMPANY, Scene, plain_case
from portal.senders import Choice, Mode, Person, Place, Rule, Scope, SendFrom, Trouble, source
from portal.standing import Managers
from portal.web import consents
from portal.web.meanwhile import Difference, Meanwhile

#: What can be chosen everywhere; the relay only where there is one, else it is shown with why not.
EVERYWHERE = (Mode.DEFAULT, Mode.USER, Mode.ACCOUNT_MANAGER, Mode.SPECIFIED)
LONGEST_NAME = 80
#: What adding an address in Gmail puts right.
ADDABLE = (Trouble.NOT_LINKED, Trouble.PENDING, Trouble.LOST)
#: What naming an account manager puts right.
NO_ONE = (Trouble.NO_MANAGER, Trouble.MANAGER_LEFT)


@dataclass(frozen=True)
class Wish:
    """What is chosen: a mode, and for a specified address a listed or a typed one.

    name: what customers read before the address; "" for the company's name. seen: mark() of the
    rule that the form showed; "" where it did not say.
    """

    mode: str
    listed: str = ""
    typed: str = ""
    name: str = ""
    seen: str = ""
    problem: str = ""
    name_problem: str = ""

    @property
    def address(self) -> str:
        return self.listed or self.typed.strip()

    @property
    def problems(self) -> list[tuple[str, str]]:
        """What is wrong, each with the id of its field."""
        found = (("typed", self.problem), ("name", self.name_problem))
        return [(where, text) for where, text in found if text]


@dataclass(frozen=True)
class Card:
    """One mode on the page: what a From line would be, and who is not ready for it."""

    choice: Choice
    people: list[tuple[Person, Choice]] = field(default_factory=list)
    managers: Managers = field(default_factory=Managers)

    @property
    def not_ready(self) -> list[tuple[Person, Choice]]:
        return [(person, choice) for person, choice in self.people if not choice.ready]


def choosable() -> tuple[Mode, ...]:
    """What can be chosen here."""
    return (*EVERYWHERE, Mode.RELAY) if relay.is_configured() else EVERYWHERE


def read(source: MultiDict[str, str]) -> Wish:
    """What a form or an address says, unchecked."""
    names = ("mode", "listed", "typed", "name", "seen")
    return Wish(*(source.get(name, "") for name in names))


def as_stored(rule: Rule | None, otherwise: str = Mode.DEFAULT) -> Wish:
    """A stored rule as it would be chosen; what is chosen already where there is none."""
    if rule is None:
        return Wish(otherwise)
    listed = rule.address in {one.email for one in known()}
    address = {"listed" if listed else "typed": rule.address}
    return Wish(rule.mode, name=rule.name, **address)


def suggested(wish: Wish) -> Wish:
    """With the address one would most likely specify, so that this choice too shows a sample."""
    staff = {one.email for one in active_people()}
    others = [one.email for one in known() if not one.is_primary]
    others.sort(key=lambda one: one in staff)
    return wish if wish.address or not others else replace(wish, listed=others[0])


def checked(wish: Wish) -> Wish:
    """With the problems of what was written, or its address cleaned."""
    if wish.mode != Mode.SPECIFIED:
        return wish
    wish = replace(wish, name=wish.name.strip(), name_problem=_wrong_name(wish.name.strip()))
    if not wish.address:
        return replace(wish, problem="Choose an address from the list, or write one.")
    try:
        return replace(wish, typed=clean_address(wish.address).lower())
    except BadAddress as problem:
        return replace(wish, problem=str(problem))


def _wrong_name(name: str) -> str:
    if not name.isprintable() or any(one in name for one in '<>"@'):
        return "Write a plain name: no signs like < > @ or quotation marks, on one line."
    if len(name) > LONGEST_NAME:
        return f"The name is too long; the most is {LONGEST_NAME} characters."
    return ""


def wanted(wish: Wish) -> tuple[Mode, str, str]:
    """Mode, address and name to store; without what only a specified address has."""
    if wish.mode != Mode.SPECIFIED:
        return Mode(wish.mode), "", ""
    return Mode.SPECIFIED, wish.address, wish.name


def mark(kind: str, place: Place = COMPANY) -> str:
    """The rule stored at a place for a kind, so that a form can tell when it is another one."""
    rule = policy.rule(kind, place)
    return f"{rule.mode}|{rule.address}|{rule.name}" if rule else "none"


def meanwhile(wish: Wish, kind: str, place: Place = COMPANY) -> Meanwhile | None:
    """What somebody else stored since the form was opened; None where it may be saved."""
    if wish.seen in ("", mark(kind, place)):
        return None
    rule = policy.rule(kind, place)
    now = source(rule) if rule else "no rule of its own"
    yours = source(Rule(*_rule_of(wish))) if wish.mode in choosable() else "no rule of its own"
    last = next(iter(history.of(policy.POLICY, 0, limit=1)), None)
    who, when = (last.actor, last.at) if last else ("", None)
    return Meanwhile([Difference("Comes from", now, yours)], who, when) if now != yours else None


def _rule_of(wish: Wish) -> tuple[Mode, None, str, str]:
    mode, address, name = wanted(wish)
    return mode, None, address, name


def keep(wish: Wish, kind: str, place: Place = COMPANY) -> bool:
    """Store what is chosen; False, and nothing is, when somebody else did so just now."""
    try:
        mode, address, name = wanted(wish)
        if mode is Mode.RELAY:
            relay.keep()
        policy.set_rule(kind, mode, address, name, place, actor=current_user.name)
    except (IntegrityError, StaleDataError):
        db.session.rollback()
        return False
    return True


def cards(kind: str, wish: Wish, viewer: User, place: Place = COMPANY) -> dict[str, Card]:
    """What each mode would come to at a place, with who is not ready for it."""
    scene = Scene()
    return {mode: _card(mode, kind, wish, viewer, place, scene) for mode in Mode}


def _card(mode: Mode, kind: str, wish: Wish, viewer: User, place: Place, scene: Scene) -> Card:
    address, name = (whole(wish.address), wish.name) if mode is Mode.SPECIFIED else ("", "")
    rule = Rule(mode, kind or None, address, name, place.scope, place.id, place.name)
    choice = scene.choose(plain_case(kind, viewer.person), rule)
    if mode is Mode.USER:
        people = [one.person for one in active_people()]
        return Card(choice, [(one, scene.choose(plain_case(kind, one), rule)) for one in people])
    if mode is Mode.ACCOUNT_MANAGER:
        managers = standing.managers_at(place, kind, scene)
        first = next(iter(managers.ready or managers.known), None)
        return Card(first.choice if first else choice, managers=managers)
    return Card(choice)


def whole(typed: str) -> str:
    """An address; nothing while it is none, so that no sample shows a From that cannot be."""
    try:
        return clean_address(typed)
    except BadAddress:
        return ""


def known() -> list[SendFrom]:
    """Addresses to choose from, each once, the verified ones first."""
    order = ["accepted", "unseen", "pending", "wanted", "untried", "lost", "denied", "mistrusted"]
    found = mailboxes.send_from_addresses()
    found.sort(key=lambda one: order.index(one.verification))
    once: dict[str, SendFrom] = {}
    for one in found:
        if one.owner_id is None or one.is_primary:
            once.setdefault(one.email, one)
    return list(once.values())


def fix_for(choice: Choice, place: Place = COMPANY) -> tuple[str, str]:
    """Where a manager puts right what keeps a choice from being ready, and what that link says."""
    box = first_mailbox()
    if choice.trouble in NO_ONE and place.scope is Scope.PROPERTY:
        return url_for("properties.edit", property_id=place.id), f"Open {place.name}"
    if choice.sender and choice.trouble is Trouble.CONSENT:
        return consents.next_step(choice.sender.email)
    if box and choice.sender and choice.trouble in ADDABLE:
        email = choice.sender.email
        return url_for("addresses.new", mailbox_id=box.id, email=email), "Show me how"
    return url_for("settings.show"), "Open System settings"


def shown() -> dict[str, Any]:
    """What every page with the choice needs besides its cards."""
    return {
        "known": known(),
        "boxes": mailboxes.company_mailboxes(),
        "owners": {one.owner_id for one in mailboxes.all_mailboxes()},
        "NO_RELAY": "" if relay.is_configured() else senders.NO_RELAY[1],
    }
