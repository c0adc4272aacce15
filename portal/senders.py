"""Who a document's e-mail comes from: the sender policy's one decision, pure.

choose() looks at the rules, the person and the send-from addresses it is given, and always answers
with the address, the mailbox that will carry it, and a sentence that says why. It never puts
another address in the place of one that is not ready: it answers with that address and the problem.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from portal.envelope import Mailable


class Mode(StrEnum):
    """The three ways a company can choose who its mail comes from."""

    DEFAULT = "default"
    USER = "user"
    SPECIFIED = "specified"


@dataclass(frozen=True)
class Rule:
    """One line of the sender policy. kind None means every kind of document."""

    mode: Mode
    kind: str | None = None
    address: str = ""
    name: str = ""


@dataclass(frozen=True)
class Person:
    """Who presses Send."""

    id: int
    name: str
    email: str


@dataclass(frozen=True)
class SendFrom:
    """One address that one mailbox may (or may soon) send as.

    verification: accepted, pending, lost, mistrusted, wanted or unseen. can_send: whether the
    mailbox works right now; why_not says what is wrong with it when it does not.
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


class Trouble(StrEnum):
    """Why a chosen address is not ready. The value is stored as the hold's code."""

    NO_MAILBOX = "no_mailbox"
    NO_ADDRESS = "no_address"
    NOT_LINKED = "not_linked"
    PENDING = "pending"
    LOST = "lost"
    MISTRUSTED = "mistrusted"
    UNSEEN = "unseen"
    MAILBOX = "mailbox"


@dataclass(frozen=True)
class Choice:
    """What the policy decided. sender is None only where there is no address at all to name."""

    sender: Mailable | None
    mailbox_id: int | None
    mailbox_email: str
    mode: Mode
    reason: str
    trouble: Trouble | None = None
    problem: str = ""

    @property
    def ready(self) -> bool:
        return self.trouble is None


def rule_for(kind: str, rules: Sequence[Rule]) -> Rule:
    """The rule that counts for a kind: its own, else the company's, else Default."""
    own = [rule for rule in rules if rule.kind == kind]
    company = [rule for rule in rules if rule.kind is None]
    return (own + company + [Rule(Mode.DEFAULT)])[0]


def choose(
    *,
    kind: str,
    kind_label: str,
    person: Person,
    company: str,
    rules: Sequence[Rule],
    addresses: Sequence[SendFrom],
) -> Choice:
    """Decide who a document comes from. kind_label is the plural shown in the sentence."""
    rule = rule_for(kind, rules)
    scope = f"{kind_label} come from" if rule.kind else "every document comes from"
    if rule.mode is Mode.USER:
        reason = f"Company rule: {scope} whoever presses Send. That is {person.name}."
        name = f"{person.name} at {company}"
        return _with_address(rule.mode, person.email, name, reason, addresses, person)
    if rule.mode is Mode.SPECIFIED:
        reason = f"Company rule: {scope} {rule.address}."
        return _with_address(
            rule.mode, rule.address, rule.name or company, reason, addresses, person
        )
    return _default(f"Company rule: {scope} the company mailbox.", company, addresses)


def find(
    email: str, addresses: Sequence[SendFrom], person_id: int | None = None
) -> SendFrom | None:
    """The best mailbox for an address: verified, working, the person's own, the company's."""
    same = [
        one
        for one in addresses
        if one.email.casefold() == email.casefold() and _may_carry(one, person_id)
    ]
    return min(same, key=lambda one: _preference(one, person_id), default=None)


def trouble_with(email: str, found: SendFrom | None) -> tuple[Trouble | None, str]:
    """What keeps an address from sending, with the sentence to show; (None, "") if nothing."""
    if found is None:
        return Trouble.NOT_LINKED, f"No connected mailbox may send as {email} yet."
    if found.verification == "pending":
        return Trouble.PENDING, (
            f"{email} is not confirmed yet: the code or link in Gmail's mail to it was not used."
        )
    if found.verification == "mistrusted":
        return Trouble.MISTRUSTED, (
            f"Gmail put another address in the place of {email} last time, so nothing leaves as it "
            "until the office manager has looked into it."
        )
    if found.verification == "lost":
        return Trouble.LOST, (
            f"{found.mailbox_email} may no longer send as {email}: Gmail does not list it any more."
        )
    if found.verification == "unseen":
        return Trouble.UNSEEN, (
            f"The portal may not see whether {found.mailbox_email} can still send as {email}: "
            "connect it again and leave every box ticked."
        )
    if found.verification != "accepted":
        return Trouble.NOT_LINKED, (
            f"{email} was not added in Gmail yet, so {found.mailbox_email} may not send as it."
        )
    if not found.can_send:
        return Trouble.MAILBOX, found.why_not
    return None, ""


def _default(reason: str, company: str, addresses: Sequence[SendFrom]) -> Choice:
    # The first mailbox is the default one; another one's address would be a stranger's.
    of_company = [one for one in addresses if one.owner_id is None]
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
    found = primary[0]
    trouble, problem = trouble_with(found.email, found)
    sender = Mailable(found.email, company)
    return Choice(
        sender, found.mailbox_id, found.mailbox_email, Mode.DEFAULT, reason, trouble, problem
    )


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
    )


def _may_carry(one: SendFrom, person_id: int | None) -> bool:
    """Nobody's own mailbox carries other people's mail, unless it is the very address asked for."""
    return one.owner_id in (None, person_id) or one.is_primary


def _preference(one: SendFrom, person_id: int | None) -> tuple[bool, bool, bool, bool]:
    owned = person_id is not None and one.owner_id == person_id
    company = one.owner_id is None
    return (one.verification != "accepted", not one.can_send, not owned, not company)
