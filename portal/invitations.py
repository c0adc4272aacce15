"""Invitations: links that reach the person they are for, by mail where the company can send one."""

from dataclasses import dataclass
from datetime import datetime

from portal import alarms, dispatch, links
from portal.accounts import User
from portal.dispatch import Dispatch
from portal.envelope import Mailable
from portal.links import Purpose
from portal.people import company
from portal.senders import SendFrom


@dataclass(frozen=True)
class Invitation:
    """A link that was just made. mail: the dispatch that brings it; None where nothing can send."""

    user: User
    purpose: Purpose
    url: str
    ends_at: datetime
    mail: Dispatch | None


def invite(user: User, purpose: Purpose, made_by: User, address: str) -> Invitation:
    """Make a link and mail it, if a mailbox of the company works now. Commits.

    address: where the link leads, with {key} in the key's place.
    """
    key = links.make(purpose, user, made_by)
    link = links.open(key, purpose)
    url = address.replace("{key}", key)
    through, mail = sender(), None
    if through is not None:
        to = Mailable(user.email, user.name)
        subject, body = _words(link, url)
        mail = dispatch.notice(f"link/{link.id}", to, subject, body, through, user=made_by)
    return Invitation(user, purpose, url, link.ends_at, mail)


def sender() -> SendFrom | None:
    """The address of the company that a link is mailed from; none where nothing can send now."""
    return alarms.other_sender()


def _words(link: links.Link, url: str) -> tuple[str, str]:
    """Subject and text of the mail that brings a link."""
    ours, asker = company().name, link.made_by.name if link.made_by else "The office"
    if link.purpose == Purpose.PASSWORD:
        subject = f"{ours}: choose your password"
        what = f"{asker} lets you sign in to the portal of {ours}. Choose your password here:"
        then = f"After that you sign in with {link.user.email} and your password."
        lasts = "seven days"
    else:
        subject = f"{ours}: connect your mailbox"
        what = f"{asker} asks you to connect your own mailbox, so that your mail leaves from it:"
        then = "You sign in where your mailbox is. Leave every box ticked. It works on a phone."
        lasts = "two days"
    last = f"The link is for you alone, works once, and only for {lasts}."
    return subject, "\n\n".join((f"Hello {link.user.name},", what, url, then, last))
