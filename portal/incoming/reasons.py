"""Reasons: why a mail came back, and the sentence in which an office manager is told."""

from enum import StrEnum


class Verdict(StrEnum):
    """What kind of failure it is, which decides what follows."""

    HARD = "hard"  # the address is wrong: never again without a change
    SOFT = "soft"  # the address may be right: worth another try
    POLICY = "policy"  # the address is right: the sender or the message was not wanted
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why, as far as the server's answer can be trusted."""

    NO_SUCH_ADDRESS = "no_such_address"
    NO_SUCH_DOMAIN = "no_such_domain"
    ADDRESS_CLOSED = "address_closed"
    MAILBOX_FULL = "mailbox_full"
    TOO_LARGE = "too_large"
    SENDER_NOT_ALLOWED = "sender_not_allowed"  # SPF, DKIM, DMARC, host names
    RESTRICTED = "restricted"  # the address takes mail from chosen senders only
    BLOCKED = "blocked"  # reputation, lists, taken for spam
    CONTENT = "content"  # an attachment, a link, a virus
    RELAY_DENIED = "relay_denied"
    TEMPORARY = "temporary"
    GAVE_UP = "gave_up"
    GREYLISTED = "greylisted"
    LOOP = "loop"
    LIMIT = "limit"
    UNKNOWN = "unknown"


VERDICTS = {
    Reason.NO_SUCH_ADDRESS: Verdict.HARD,
    Reason.NO_SUCH_DOMAIN: Verdict.HARD,
    Reason.ADDRESS_CLOSED: Verdict.HARD,
    Reason.MAILBOX_FULL: Verdict.SOFT,
    Reason.TOO_LARGE: Verdict.SOFT,
    Reason.SENDER_NOT_ALLOWED: Verdict.POLICY,
    Reason.RESTRICTED: Verdict.POLICY,
    Reason.BLOCKED: Verdict.POLICY,
    Reason.CONTENT: Verdict.POLICY,
    Reason.RELAY_DENIED: Verdict.POLICY,
    Reason.TEMPORARY: Verdict.SOFT,
    Reason.GAVE_UP: Verdict.SOFT,
    Reason.GREYLISTED: Verdict.SOFT,
    Reason.LOOP: Verdict.SOFT,
    Reason.LIMIT: Verdict.POLICY,
    Reason.UNKNOWN: Verdict.UNKNOWN,
}

#: What happened, then whose move it is.
_SENTENCES = {
    Reason.NO_SUCH_ADDRESS: (
        "This address does not exist. Check its spelling with the customer, then send again."
    ),
    Reason.NO_SUCH_DOMAIN: (
        "What stands after the @ does not exist or takes no mail. Check the address with the "
        "customer, then send again."
    ),
    Reason.ADDRESS_CLOSED: (
        "This mailbox has been closed. Ask the customer for the address they use now."
    ),
    Reason.MAILBOX_FULL: (
        "Their mailbox is full. Tell the customer by phone, or send again in a day or two."
    ),
    Reason.TOO_LARGE: (
        "The message is too large for their mailbox. Send it again with fewer or smaller files."
    ),
    Reason.SENDER_NOT_ALLOWED: (
        "The address is fine, but their server doubts that the message is really yours. Whoever "
        "looks after your domain has to complete its set-up."
    ),
    Reason.RESTRICTED: (
        "This address takes messages only from senders it knows. Ask the customer to allow yours."
    ),
    Reason.BLOCKED: (
        "Their spam protection turned the message away, which says nothing against the address. "
        "Ask the customer to allow yours, and look at the checks of your sender domain."
    ),
    Reason.CONTENT: (
        "Their server does not take something that is in the message, often a file or a link. "
        "Send it again without that."
    ),
    Reason.RELAY_DENIED: (
        "The server that was asked does not take mail for this address. Check what stands after "
        "the @; if it is right, the customer has to tell whoever looks after their e-mail."
    ),
    Reason.TEMPORARY: "Their server had a passing problem. Send it again later.",
    Reason.GAVE_UP: (
        "Their server could not be reached and the attempts have ended. Check what stands after "
        "the @; if it is right, send again later."
    ),
    Reason.GREYLISTED: (
        "Their server asks new senders to come back later, and the attempts ended too soon. "
        "Send it again."
    ),
    Reason.LOOP: (
        "On their side the message went round in circles. Tell the customer by phone: whoever "
        "looks after their e-mail has to put it right."
    ),
    Reason.LIMIT: (
        "Your own mail provider sends no more for now: a limit is reached. The address is fine; "
        "send again when the limit has ended, usually within a day."
    ),
    Reason.UNKNOWN: (
        "It came back, and the server did not say clearly why. Read its own words in the technical "
        "details, or ask the customer by phone."
    ),
}


def sentence(reason: Reason) -> str:
    """What happened and whose move it is, for a page."""
    return _SENTENCES[reason]
