"""Agreement: a person is asked whether mail may leave under their address, and answers.

What waits follows the answer at once: a yes lets go what was on hold for want of it, a no holds
what is in the queue. Nobody answers for somebody else: a manager can only have them asked.
"""

from datetime import timedelta

from portal import consent, dispatch, invitations, links, queueing
from portal.accounts import User
from portal.columns import now
from portal.consent import How
from portal.dispatch import Dispatch
from portal.envelope import Mailable
from portal.extensions import db
from portal.links import Link, Purpose
from portal.people import company
from portal.senders import Said

#: Who was asked is not asked again before: a second press is the same wish.
PAUSE = timedelta(minutes=10)


class CannotAsk(Exception):
    """Somebody was not asked; the message says why, and what to do."""


def ask(user: User, asker: User, address: str) -> Dispatch:
    """Mail somebody the question, with a link that takes their answer once. Commits.

    address: where the link leads, with {key} in the key's place. It is shown to nobody else, since
    whoever has it could answer. Raises CannotAsk.
    """
    through = invitations.sender()
    if through is None:
        first = user.name.split()[0]
        raise CannotAsk(
            f"No mailbox of the company can send at the moment, so {first} cannot be asked by mail."
            f" {first} can agree under “My e-mail”."
        )
    _refuse_needless(user)
    key = links.make(Purpose.CONSENT, user, asker)
    link = links.open(key, Purpose.CONSENT)
    subject, body = _words(link, address.replace("{key}", key))
    to = Mailable(user.email, user.name)
    return dispatch.notice(f"link/{link.id}", to, subject, body, through, user=asker)


def answer(link: Link, *, agreed: bool) -> None:
    """Take the answer a link brings. Raises links.Ended when it was used meanwhile. Commits."""
    links.use(link)
    _keep(link.user, Said.AGREED if agreed else Said.REFUSED, How.MAIL)


def agree(user: User) -> None:
    """Somebody who is signed in agrees for their own address. Commits."""
    _keep(user, Said.AGREED, How.SETTINGS)


def withdraw(user: User) -> None:
    """Somebody who is signed in does not agree, or not any longer. Commits."""
    said = consent.of(user)
    before = said is not None and said.said in (Said.AGREED, Said.WITHDRAWN)
    _keep(user, Said.WITHDRAWN if before else Said.REFUSED, How.SETTINGS)


def _keep(user: User, said: Said, how: How) -> None:
    consent.record(user, said, how)
    db.session.commit()
    if said is Said.AGREED:
        dispatch.release_ready()
        queueing.ring()
    else:
        dispatch.hold_unagreed()


def _refuse_needless(user: User) -> None:
    said = consent.of(user)
    if not user.active:
        raise CannotAsk(f"{user.name} may not sign in any more. Choose another sender instead.")
    if said is None:
        raise CannotAsk(f"{user.email} belongs to no one person, so nobody needs to agree.")
    if said.agreed:
        raise CannotAsk(f"{user.name} has agreed already.")
    asked = links.waiting(user, Purpose.CONSENT)
    if asked is not None and now() - asked.made_at < PAUSE:
        raise CannotAsk(f"{user.name} was asked a moment ago. Give them time to answer.")


def _words(link: Link, url: str) -> tuple[str, str]:
    """Subject and text of the mail that asks."""
    ours, email = company().name, link.user.email
    asker = link.made_by.name if link.made_by else "The office"
    lines = (
        f"Hello {link.user.name},",
        f"{ours} would like to send invoices and other documents from {email}. Customers then see "
        "your name and your address, and their answers come to you.",
        f"{asker} asks whether you agree. Say yes or no here; it needs no password:",
        url,
        "Nothing leaves under your address before you agree, and you can change your mind at any "
        "time under “My e-mail” in the portal.",
        "The link is for you alone, works once, and only for fourteen days.",
    )
    return f"{ours}: may mail leave from {email}?", "\n\n".join(lines)
