"""Status: where the mail of a document stands, and where its batch does, in words for people.

Nothing here ever says that a mail was delivered: the portal knows what the mailbox's provider has
accepted, and what came back.
"""

from dataclasses import dataclass
from enum import StrEnum


class EmailStatus(StrEnum):
    """What Document.email_status holds: never sent, or the state of its newest sending."""

    NOT_APPLICABLE = "n/a"
    PENDING = "pending"
    QUEUED = "queued"
    SUBMITTING = "submitting"
    ACCEPTED = "accepted"
    HELD = "held"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"
    RETURNED = "returned"


class BatchStatus(StrEnum):
    """What Document.batch_status holds: in no batch, or where its last batch stands."""

    NONE = ""
    DRAFT = "draft"
    COMPLETED = "completed"


#: Of these nothing has left yet, and nothing is on its way.
UNSENT = (EmailStatus.NOT_APPLICABLE, EmailStatus.PENDING)


@dataclass(frozen=True)
class StatusFacts:
    """How a status is shown. tone: open, info, good, warn, bad, odd or calm, as static/app.css."""

    label: str
    meaning: str
    what_to_do: str
    tone: str = "open"
    moving: bool = False


EMAIL_STATUSES = {
    EmailStatus.NOT_APPLICABLE: StatusFacts(
        "N/A",
        "There is nobody to send it to.",
        "Give the customer an e-mail address, or mark on the property who receives it.",
        "warn",
    ),
    EmailStatus.PENDING: StatusFacts(
        "Pending",
        "There is somebody to send it to. It was not sent yet.",
        "Send it, or put it into a batch.",
    ),
    EmailStatus.QUEUED: StatusFacts(
        "In queue", "It waits for its turn.", "Nothing.", "info", moving=True
    ),
    EmailStatus.SUBMITTING: StatusFacts(
        "Sending", "It is being handed over.", "Nothing.", "info", moving=True
    ),
    EmailStatus.ACCEPTED: StatusFacts(
        "Sent",
        "The mail provider has accepted it. That is not yet delivery.",
        "If it does not arrive, ask the customer to look in their spam folder.",
        "good",
    ),
    EmailStatus.HELD: StatusFacts(
        "On hold",
        "It is safe here and was not sent.",
        "Put the reason right and it goes out by itself.",
        "warn",
    ),
    EmailStatus.REFUSED: StatusFacts(
        "Could not send",
        "The mail provider refused it. It did not leave.",
        "Read the reason, correct it, and send again.",
        "bad",
    ),
    EmailStatus.UNKNOWN: StatusFacts(
        "Unclear, checking",
        "The connection broke before the provider answered. It is never sent again on a guess.",
        "Nothing yet: the portal looks in the mailbox for what became of it.",
        "odd",
        moving=True,
    ),
    EmailStatus.CANCELLED: StatusFacts(
        "Cancelled", "It was not sent.", "Send it again if you want.", "calm"
    ),
    EmailStatus.RETURNED: StatusFacts(
        "Came back",
        "The mail provider had accepted it, and it came back later.",
        "Read why it came back: its sending says what to do next.",
        "bad",
    ),
}

BATCH_STATUSES = {
    BatchStatus.NONE: StatusFacts(
        "Not in a batch",
        "It is in no batch.",
        "Put it into one, or send it by itself.",
        "calm",
    ),
    BatchStatus.DRAFT: StatusFacts(
        "Draft",
        "Its batch is still being put together. Nothing of it is sent before it is completed.",
        "Check the batch, then complete it.",
    ),
    BatchStatus.COMPLETED: StatusFacts(
        "Completed",
        "Its batch was completed.",
        "The batch's results say what became of each document.",
        "good",
    ),
}

#: What only the two together say: (meaning, what to do).
TOGETHER = {
    (BatchStatus.DRAFT, EmailStatus.NOT_APPLICABLE): (
        "Its batch is still a draft, and there is nobody to send it to.",
        "To send it by e-mail, mark on the property who receives it, or give the customer an "
        "address. Otherwise the batch goes without it.",
    ),
    (BatchStatus.DRAFT, EmailStatus.PENDING): (
        "There is somebody to send it to, and its batch is still a draft.",
        "Complete the batch: then it goes into the queue.",
    ),
    (BatchStatus.COMPLETED, EmailStatus.NOT_APPLICABLE): (
        "Its batch was completed without it: there was nobody to send it to.",
        "Say who receives it, then send it, or put it into another batch.",
    ),
    (BatchStatus.COMPLETED, EmailStatus.PENDING): (
        "Its batch was completed. Either its mail is being prepared, or it was left out because "
        "something was not ready.",
        "The batch's results say which, and why.",
    ),
    (BatchStatus.COMPLETED, EmailStatus.QUEUED): (
        "Its batch was completed, and its mail waits for its turn. Its sender is checked once "
        "more before it leaves.",
        "Nothing for now. After more than an hour, look at the sender's mailbox in the system "
        "settings.",
    ),
    (BatchStatus.COMPLETED, EmailStatus.ACCEPTED): (
        "Its batch was completed, and the mail provider has accepted its mail. That is not yet "
        "delivery.",
        "If it does not arrive, ask the customer to look in their spam folder, and look in the "
        "sender's mailbox for mail that came back.",
    ),
}


def explain(batch_status: str, email_status: str) -> StatusFacts:
    """What a document's two statuses mean together, under the name of its e-mail status."""
    facts = EMAIL_STATUSES[EmailStatus(email_status)]
    pair = (BatchStatus(batch_status), EmailStatus(email_status))
    meaning, what_to_do = TOGETHER.get(pair, (facts.meaning, facts.what_to_do))
    return StatusFacts(facts.label, meaning, what_to_do, facts.tone, facts.moving)
