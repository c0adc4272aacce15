"""Who a document's e-mail comes from: the sender policy's one decision, pure.

choose() looks at the case, the rules and the send-from addresses it is given, and always answers
with the address, the mailbox that will carry it, and a sentence that says why. It never puts
another address in the place of one that is not ready: it answers with that address and the problem.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from portal.envelope import Mailable


class Mode(StrEnum):
    """The ways a rule can say who mail comes from."""

    DEFAULT = "default"
    USER = "user"
    ACCOUNT_MANAGER = "account_manager"
    SPECIFIED = "specified"
    RELAY = "relay"


class Scope(StrEnum):
    """What a rule is for, from the widest to the most specific; the most specific wins."""

    COMPANY = "company"
    REGION = "region"
    BRANCH = "branch"
    CUSTOMER = "customer"
    PROPERTY = "property"
    SENDING = "sending"


@dataclass(frozen=True)
class Place:
    """One link of the chain a document hangs on: the region North, the property 12 Hill St."""

    scope: Scope
    id: int
    name: str


@dataclass(frozen=True)
class Rule:
    """One line of the sender policy. kind None means every kind of document.

    scope_id and scope_name say whose rule it is; the company's has 0 and no name. Of a one-off
    choice (Scope.SENDING), scope_name is who made it.
    """

    mode: Mode
    kind: str | None = None
    address: str = ""
    name: str = ""
    scope: Scope = Scope.COMPANY
    scope_id: int = 0
    scope_name: str = ""

    @property
    def place(self) -> Place:
        return Place(self.scope, self.scope_id, self.scope_name)

    @property
    def key(self) -> tuple[Scope, int, str | None]:
        """What only one rule can be for."""
        return self.scope, self.scope_id, self.kind


@dataclass(frozen=True)
class Person:
    """Somebody of the company: who presses Send, or an account manager."""

    id: int
    name: str
    email: str
    active: bool = True


@dataclass(frozen=True)
class Case:
    """What is to be decided: one document, as far as the policy looks at it.

    kind_label is the plural shown in the sentence. places is the chain from region to property, as
    far as the document has one. about names the property in sentences. company_only leaves every
    rule but the company's aside: Aspire's way with a batch over several branches.
    """

    kind: str
    kind_label: str
    person: Person
    places: tuple[Place, ...] = ()
    manager: Person | None = None
    about: str = ""
    company_only: bool = False


class Said(StrEnum):
    """What a person has said about mail that leaves under their own address."""

    NOTHING = ""
    AGREED = "agreed"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True)
class Consent:
    """Whose address it is, and what that person said; words: when and how, as one sentence."""

    person: str
    said: Said = Said.NOTHING
    words: str = ""

    @property
    def agreed(self) -> bool:
        return self.said is Said.AGREED


@dataclass(frozen=True)
class SendFrom:
    """One address that one mailbox may (or may soon) send as.

    verification: accepted, pending, lost, mistrusted, wanted or unseen. can_send: whether the
    mailbox works right now; why_not says what is wrong with it when it does not. owner_email is
    the address its owner signs in under; "" for the company's. consent: what the person said to
    whom the address belongs; None where it is the company's own, as office@ is.
    """

    email: str
    name: str
    mailbox_id: int
    mailbox_email: str
    owner_id: int | None
    verification: str
    is_primary: bool = False
    can_send: bool = True
    why_not: str = ""
    owner_email: str = ""
    is_relay: bool = False
    consent: Consent | None = None

    @property
    def is_owners_own(self) -> bool:
        """Whether the address is the very person's whose mailbox this is."""
        if self.owner_id is None:
            return False
        return self.is_primary or self.owner_email.casefold() == self.email.casefold()


class Trouble(StrEnum):
    """Why a chosen address is not ready. The value is stored as the hold's code."""

    NO_MAILBOX = "no_mailbox"
    NO_ADDRESS = "no_address"
    NOT_LINKED = "not_linked"
    PENDING = "pending"
    LOST = "lost"
    MISTRUSTED = "mistrusted"
    #: The provider does not let the mailbox send as it.
    NOT_ALLOWED = "not_allowed"
    #: Nobody has tried yet whether it may, where the provider keeps no list.
    UNTRIED = "untried"
    UNSEEN = "unseen"
    #: It belongs to a person who has not agreed, or does no longer.
    CONSENT = "consent"
    MAILBOX = "mailbox"
    NO_MANAGER = "no_manager"
    MANAGER_LEFT = "manager_left"
    NO_RELAY = "no_relay"
    #: Somebody holds it by hand: it waits until a person lets it go.
    PERSON = "person"
    #: The same, and only a manager may let it go.
    MANAGER = "manager"
    #: It waited for long while its mailbox could not send: a person says whether it still leaves.
    REVIEW = "review"


#: What waits for a person's word: nothing lets it go by itself.
BY_HAND = (Trouble.PERSON, Trouble.MANAGER, Trouble.REVIEW)


@dataclass(frozen=True)
class Choice:
    """What the policy decided. sender is None only where there is no address at all to name.

    agreed: when and how the person agreed whose address it is; "" where nobody has to.
    """

    sender: Mailable | None
    mailbox_id: int | None
    mailbox_email: str
    mode: Mode
    reason: str
    trouble: Trouble | None = None
    problem: str = ""
    rule: Rule | None = None
    agreed: str = ""

    @property
    def ready(self) -> bool:
        return self.trouble is None

    @property
    def evidence(self) -> str:
        """Why it comes from there, and that the person agreed, as it is kept with what was sent."""
        return f"{self.reason} {self.agreed}".strip()


def rule_for(case: Case, rules: Iterable[Rule]) -> Rule:
    """The rule that counts: the most specific scope's; in it the kind's own before the general.

    Without any, the company's mail comes from the company mailbox.
    """
    ids = {(place.scope, place.id) for place in _chain(case)}
    fits = [
        rule
        for rule in rules
        if (rule.scope, rule.scope_id) in ids and rule.kind in (None, case.kind)
    ]
    order = list(Scope)
    return max(
        fits,
        key=lambda rule: (order.index(rule.scope), rule.kind is not None),
        default=Rule(Mode.DEFAULT),
    )


def _chain(case: Case) -> tuple[Place, ...]:
    company = Place(Scope.COMPANY, 0, "")
    return (company,) if case.company_only else (company, *case.places)


def choose(
    case: Case,
    *,
    company: str,
    rules: Iterable[Rule],
    addresses: Sequence[SendFrom],
    once: Rule | None = None,
) -> Choice:
    """Decide who a document comes from; `once` is a choice made for this one sending."""
    return decide(once or rule_for(case, rules), case, company=company, addresses=addresses)


def decide(rule: Rule, case: Case, *, company: str, addresses: Sequence[SendFrom]) -> Choice:
    """What one rule comes to for one document."""
    said = f"{_whose(rule, case)}: {_scope_words(rule, case)} {_source(rule, case)}."
    match rule.mode:
        case Mode.USER:
            choice = _user(said, rule, case.person, company, addresses)
        case Mode.ACCOUNT_MANAGER:
            choice = _manager(said, case, company, addresses)
        case Mode.SPECIFIED:
            name = rule.name or company
            choice = _with_address(rule.mode, rule.address, name, said, addresses, case.person)
        case Mode.RELAY:
            choice = _relay(said, company, addresses)
        case _:
            choice = _default(said, company, addresses)
    return replace(choice, rule=rule)


def source(rule: Rule) -> str:
    """What a rule says mail comes from, in words that end a sentence."""
    return {
        Mode.DEFAULT: "the company mailbox",
        Mode.USER: "whoever presses Send",
        Mode.ACCOUNT_MANAGER: "the property's account manager",
        Mode.SPECIFIED: rule.address or "an address still to be named",
        Mode.RELAY: "the portal's own relay",
    }[rule.mode]


NO_RELAY = Trouble.NO_RELAY, "The portal's own relay is not set up."


def _whose(rule: Rule, case: Case) -> str:
    if rule.scope is Scope.SENDING:
        return f"Chosen for this sending by {rule.scope_name}"
    if rule.scope is Scope.COMPANY:
        several = "This batch covers several branches. " if case.company_only else ""
        return f"{several}Company rule"
    return f"Rule for the {rule.scope} {rule.scope_name}"


def _scope_words(rule: Rule, case: Case) -> str:
    if rule.scope is Scope.SENDING:
        return "it comes from"
    return f"{case.kind_label} come from" if rule.kind else "every document comes from"


def _source(rule: Rule, case: Case) -> str:
    once = rule.scope is Scope.SENDING and rule.mode is Mode.USER
    return case.person.name if once else source(rule)


def _user(
    said: str, rule: Rule, person: Person, company: str, addresses: Sequence[SendFrom]
) -> Choice:
    once = rule.scope is Scope.SENDING
    reason = said if once else f"{said} That is {person.name}."
    name = f"{person.name} at {company}"
    return _with_address(Mode.USER, person.email, name, reason, addresses, person)


def _manager(said: str, case: Case, company: str, addresses: Sequence[SendFrom]) -> Choice:
    mode, manager, about = Mode.ACCOUNT_MANAGER, case.manager, case.about
    if manager is None:
        missing = f"{about} has no account manager" if about else "This document has no property"
        rest = "" if about else ", so no account manager"
        return _nobody(mode, said, Trouble.NO_MANAGER, f"{missing}{rest}.")
    said = f"{said} That is {manager.name}."
    if not manager.active:
        problem = f"{manager.name}, the account manager of {about}, no longer works here."
        return _nobody(mode, said, Trouble.MANAGER_LEFT, problem)
    name = f"{manager.name} at {company}"
    return _with_address(mode, manager.email, name, said, addresses, manager)


def _relay(said: str, company: str, addresses: Sequence[SendFrom]) -> Choice:
    found = next((one for one in addresses if one.is_relay and one.is_primary), None)
    if found is None:
        return _nobody(Mode.RELAY, said, *NO_RELAY)
    return _of_company(Mode.RELAY, found, said, company)


def _nobody(mode: Mode, reason: str, trouble: Trouble, problem: str) -> Choice:
    return Choice(None, None, "", mode, reason, trouble, problem)


def find(
    email: str, addresses: Sequence[SendFrom], person_id: int | None = None
) -> SendFrom | None:
    """The mailbox for an address: verified, working, its owner's own, the company's, the person's.

    person_id: who presses Send; their own mailbox may carry whatever it is verified for.
    """
    same = [
        one
        for one in addresses
        if one.email.casefold() == email.casefold() and _may_carry(one, person_id)
        if not one.is_relay  # which carries what a rule gives it, and nothing else
    ]
    return min(same, key=_preference, default=None)


#: What each verification that is not enough comes to. email: the address; box: the mailbox's own.
UNREADY = {
    "pending": (
        Trouble.PENDING,
        "{email} is not confirmed yet: the code or link in the mail to it was not used.",
    ),
    "mistrusted": (
        Trouble.MISTRUSTED,
        "Another address was put in the place of {email} last time, so nothing leaves as it until "
        "the office manager has looked into it.",
    ),
    "denied": (
        Trouble.NOT_ALLOWED,
        "{box} is not allowed to send as {email}: its mail provider refused it.",
    ),
    "untried": (
        Trouble.UNTRIED,
        "Nobody has tried yet whether {box} may send as {email}.",
    ),
    "lost": (
        Trouble.LOST,
        "{box} may no longer send as {email}: its mail provider does not list it any more.",
    ),
    "unseen": (
        Trouble.UNSEEN,
        "The portal may not see whether {box} can still send as {email}: connect it again and "
        "leave every box ticked.",
    ),
    "wanted": (
        Trouble.NOT_LINKED,
        "{email} was not added to {box} yet, so that may not send as it.",
    ),
}


def trouble_with(email: str, found: SendFrom | None) -> tuple[Trouble | None, str]:
    """What keeps an address from sending, with the sentence to show; (None, "") if nothing."""
    if found is None:
        return Trouble.NOT_LINKED, f"No connected mailbox may send as {email} yet."
    if found.verification != "accepted":
        trouble, sentence = UNREADY.get(found.verification, UNREADY["wanted"])
        return trouble, sentence.format(email=email, box=found.mailbox_email)
    if found.consent is not None and not found.consent.agreed:
        return Trouble.CONSENT, _without_consent(found.email, found.consent)
    if not found.can_send:
        return Trouble.MAILBOX, found.why_not
    return None, ""


def _without_consent(email: str, consent: Consent) -> str:
    """What a person said instead of yes, and who can change it."""
    asked = "A manager can ask them again under Administration, People."
    match consent.said:
        case Said.WITHDRAWN:
            return f"{consent.person} no longer agrees that mail leaves under {email}. {asked}"
        case Said.REFUSED:
            return f"{consent.person} does not want mail to leave under {email}. {asked}"
    return (
        f"{consent.person} has not agreed yet that mail leaves under {email}. They do so under "
        "“My e-mail”, or a manager asks them by mail, under Administration, People."
    )


def _default(reason: str, company: str, addresses: Sequence[SendFrom]) -> Choice:
    # The first mailbox is the default one; another one's address would be a stranger's.
    of_company = [one for one in addresses if one.owner_id is None and not one.is_relay]
    primary = [
        one for one in of_company if one.mailbox_id == of_company[0].mailbox_id and one.is_primary
    ]
    if not primary:
        return Choice(
            None,
            None,
            "",
            Mode.DEFAULT,
            reason,
            Trouble.NO_MAILBOX,
            "No company mailbox is connected yet.",
        )
    return _of_company(Mode.DEFAULT, primary[0], reason, company)


def _of_company(mode: Mode, found: SendFrom, reason: str, company: str) -> Choice:
    """Mail of the company's own, through the very mailbox that an address belongs to."""
    trouble, problem = trouble_with(found.email, found)
    sender = Mailable(found.email, company)
    return Choice(sender, found.mailbox_id, found.mailbox_email, mode, reason, trouble, problem)


def _with_address(
    mode: Mode,
    email: str,
    name: str,
    reason: str,
    addresses: Sequence[SendFrom],
    person: Person,
) -> Choice:
    if not email:
        return Choice(
            None, None, "", mode, reason, Trouble.NO_ADDRESS, "The rule names no address yet."
        )
    found = find(email, addresses, person.id)
    trouble, problem = trouble_with(email, found)
    return Choice(
        Mailable(email, name),
        found.mailbox_id if found else None,
        found.mailbox_email if found else "",
        mode,
        reason,
        trouble,
        problem,
        agreed=found.consent.words if found and found.consent else "",
    )


def _may_carry(one: SendFrom, person_id: int | None) -> bool:
    """Nobody's own mailbox carries other people's mail, unless it is the very address asked for."""
    return one.owner_id in (None, person_id) or one.is_owners_own


def _preference(one: SendFrom) -> tuple[bool, bool, bool, bool, bool]:
    company, withheld = one.owner_id is None, one.consent is not None and not one.consent.agreed
    verified = one.verification == "accepted"
    return (not verified, withheld, not one.can_send, not one.is_owners_own, not company)
