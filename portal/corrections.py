"""Corrections: an address that mail came back from is put right, and its document goes out again.

What is sent is the document as it is now, to the right address alone: for the others nothing came
back, so they are sent it again only where somebody wants that.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from portal import bounces, contacts, dispatch, history, policy
from portal.accounts import User
from portal.checks import Sending, preflight
from portal.contacts import AddressTaken
from portal.dispatch import Blocked, Dispatch, State, Wish
from portal.extensions import db
from portal.people import Contact, address_key, contact_with

#: A further sending that stands so did not send it again.
NOT_SENT = (State.CANCELLED, State.REFUSED)


@dataclass(frozen=True)
class Wrong:
    """An address of a sending that may have to be put right.

    failed: what the report said of it, as incoming.Failed; None where only a person said that it
    came back. contact: who has this address, if anybody.
    """

    email: str
    failed: dict[str, str] | None
    contact: Contact | None


@dataclass(frozen=True)
class Correction:
    """What somebody wants: the right addresses by the wrong ones, and what else follows.

    in_contacts: whether the contacts get the new addresses too. others: whether it goes once more
    to those for whom nothing came back.
    """

    right: Mapping[str, str] = field(default_factory=dict)
    in_contacts: bool = False
    others: bool = False


def can_correct(one: Dispatch) -> bool:
    """Whether it came back, and nobody sent it again since."""
    if one.state != State.RETURNED or one.document_id is None or one.is_test:
        return False
    return all(each.state in NOT_SENT for each in dispatch.followed_by(one))


def wrongs(one: Dispatch) -> list[Wrong]:
    """Whose address is in question: of those for whom it came back, else of everybody."""
    said: dict[str, dict[str, str]] = {}
    for arrival in bounces.returns_of([one.id]).get(one.id, []):
        said |= {address_key(failed["email"]): failed for failed in arrival.failed}
    everybody = [*one.to, *one.cc]
    named = [email for email in everybody if address_key(email) in said]
    return [
        Wrong(email, said.get(address_key(email)), contact_with(email))
        for email in named or everybody
    ]


def others_than(wrong: list[Wrong], one: Dispatch) -> list[str]:
    """Those who were sent it too, and for whom nothing came back."""
    keys = {address_key(each.email) for each in wrong}
    return [email for email in (*one.to, *one.cc) if address_key(email) not in keys]


def receivers(one: Dispatch, wanted: Correction) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """To and Cc of the sending that puts it right; who is alone in Cc moves up to To."""
    right = {address_key(was): now for was, now in wanted.right.items()}
    wrong = {address_key(each.email) for each in wrongs(one)}

    def of(emails: list[str]) -> tuple[str, ...]:
        kept = [one for one in emails if address_key(one) in right or _stays(one)]
        return tuple(right.get(address_key(one), one) for one in kept)

    def _stays(email: str) -> bool:
        return wanted.others and address_key(email) not in wrong

    to, cc = of(one.to), of(one.cc)
    return (to, cc) if to else (cc, ())


def taken(wanted: Correction) -> AddressTaken | None:
    """Why a contact cannot be given its new address: somebody else has it."""
    if not wanted.in_contacts:
        return None
    for was, now in wanted.right.items():
        contact, holder = contact_with(was), contact_with(now)
        if contact is not None and holder is not None and holder.id != contact.id:
            return AddressTaken(holder)
    return None


def correct(one: Dispatch, user: User, wish: Wish, wanted: Correction) -> Dispatch:
    """Send the document again to the right address, and keep that address where it is wanted.

    wish: its number, subject, words and reason; who receives it follows from `wanted`. Asked twice
    for one number, it is one sending. Raises Blocked and AddressTaken before anything is stored,
    and what dispatch.request() raises. Commits.
    """
    document = one.document
    to, cc = receivers(one, wanted)
    wish = replace(wish, to=to, cc=cc, after_id=one.id)
    if dispatch.numbered(document, wish.sending_number) is None:
        clash = taken(wanted)
        if clash is not None:
            raise clash
        choice = policy.sender_of(document, user)
        blocking = [each for each in preflight(Sending(document, choice, to, cc)) if each.blocking]
        if blocking:
            raise Blocked(blocking)
        if wanted.in_contacts:
            _keep(wanted.right, user)
    return dispatch.request(document, user, wish)


def _keep(right: Mapping[str, str], user: User) -> None:
    for was, now in right.items():
        contact = contact_with(was)
        if contact is not None:
            contacts.keep({"email": now}, user, contact)


def vouch(contact: Contact, user: User) -> None:
    """Somebody says that a contact's address is right, though mail to it came back. Commits."""
    if not bounces.cautions_of([contact.email]):
        return
    history.note("contact", contact.id, f"{contact.email} is right, they said.", user.name)
    bounces.clear(contact.email, user)
    db.session.commit()
