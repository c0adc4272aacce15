"""Verdicts: whether the customer got it, in one sentence that says no more than is known. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from portal.documents.status import EMAIL_STATUSES, BatchStatus, EmailStatus
from portal.incoming import Reason, Sort, sentence
from portal.inquiry import spoken
from portal.inquiry.facts import Came, Facts, Sending, Sight, listed, span
from portal.inquiry.steps import sight

#: A mail that comes back mostly does so within this time.
SOON_BACK = timedelta(minutes=10)
#: An inbox that was not read for longer says nothing of now.
LATELY = timedelta(hours=2)
#: For so long a mail server tries again before it gives up, and says so.
KEEPS_TRYING = timedelta(days=6)


class Kind(StrEnum):
    """What is known. LEFT: it was accepted, and whether it came back cannot be told."""

    YES = "yes"
    LIKELY = "likely"
    LEFT = "left"
    NOT_YET = "not_yet"
    UNCLEAR = "unclear"
    NO = "no"
    NEVER = "never"

    @property
    def is_good(self) -> bool:
        """Whether nobody has to do anything, as far as is known."""
        return self in (Kind.YES, Kind.LIKELY)


@dataclass(frozen=True)
class Verdict:
    """The answer. sentence: in one; more: what else is to be known; phone: what to tell the
    customer down the phone; link: a mail in the mailbox that shows it, outside the portal."""

    kind: Kind
    sentence: str
    more: str = ""
    phone: str = ""
    link: str = ""


def judge(facts: Facts) -> Verdict:
    """Whether the customer got the document."""
    found = _of_answer(facts) or _of_telling(facts)
    newest = facts.newest
    if newest is not None and newest is not facts.telling:
        label = EMAIL_STATUSES[EmailStatus(newest.state)].label.lower()
        later = f"That was sending {facts.telling.number if facts.telling else 1}; "
        found = replace(
            found, more=f"{found.more} {later}sending {newest.number}: {label}.".strip()
        )
    return replace(found, phone=spoken.words(facts, found.kind))


def _of_answer(facts: Facts) -> Verdict | None:
    """What an answer to any of its sendings proves."""
    reply = next((one for one in facts.came if one.sort is Sort.REPLY and not one.doubtful), None)
    if reply is None:
        return None
    more = ""
    if facts.telling is not None and facts.telling.state == "returned":
        more = f"It came back for somebody else: {facts.telling.note}"
    return Verdict(
        Kind.YES, f"Yes: {reply.who} replied {facts.when(reply.at)}.", more, "", reply.link
    )


def _of_telling(facts: Facts) -> Verdict:
    one = facts.telling
    return _never_sent(facts) if one is None else JUDGES[one.state](facts, one)


# -- not sent ------------------------------------------------------------------------------------


def _never_sent(facts: Facts) -> Verdict:
    paper, item = facts.paper, facts.paper.item
    if paper.lost:
        return Verdict(
            Kind.UNCLEAR,
            "Unclear: it left before the portal’s database was restored, and no more is known.",
            "Look for it in the mailbox’s Sent.",
        )
    blocked = next((one for one in facts.problems if one.blocking), None)
    why = f"{blocked.message} {blocked.hint}".strip() if blocked else ""
    if paper.batch_status == BatchStatus.DRAFT:
        words = f"No: its batch “{paper.batch_name}” is still a draft, so it was not sent yet."
        return Verdict(Kind.NEVER, words, why or "Complete the batch: then it goes into the queue.")
    if item is not None and item.state == "left":
        words = f"No: the batch “{paper.batch_name}” was completed without it."
        return Verdict(Kind.NEVER, words, f"{item.problem} {item.hint}".strip())
    if item is not None and item.state == "pending":
        words = f"Not yet: “{paper.batch_name}” was completed, and its mail is being prepared."
        return Verdict(Kind.NOT_YET, words, facts.queue.halted)
    if paper.email_status == EmailStatus.NOT_APPLICABLE:
        return Verdict(
            Kind.NEVER, "No: it was never sent, since there is nobody to send it to.", why
        )
    return Verdict(Kind.NEVER, "No: it was never sent.", why or "Send it, or put it into a batch.")


def _cancelled(_facts: Facts, one: Sending) -> Verdict:
    return Verdict(Kind.NEVER, "No: it was cancelled, so it never left.", one.note)


def _refused(_facts: Facts, one: Sending) -> Verdict:
    return Verdict(Kind.NO, f"No: {one.provider} refused it, so it did not leave.", one.note)


def _held(facts: Facts, one: Sending) -> Verdict:
    words = f"Not yet: it is on hold since {facts.clock(one.since)}."
    by_itself = "It waits until somebody lets it go." if one.held_by_hand else (
        "It leaves by itself once that is put right, and from no other address."
    )  # fmt: skip
    return Verdict(Kind.NOT_YET, words, f"{one.note} {by_itself}".strip())


def _queued(facts: Facts, one: Sending) -> Verdict:
    since = facts.clock(one.queued_at)
    return Verdict(
        Kind.NOT_YET, f"Not yet: it is in the queue since {since}.", why_waits(facts, one)
    )


def why_waits(facts: Facts, one: Sending) -> str:
    """What keeps a queued one from leaving, and until when where that is known."""
    queue, box = facts.queue, facts.box
    if queue.halted:
        return queue.halted
    if box is not None and not box.sends:
        return f"{box.why_not or f'{box.email}: {box.said.label}.'} {box.said.to_do}".strip()
    if queue.service != "ok":
        return "The sending service cannot be reached just now. It leaves once that is back."
    if queue.stuck_since is not None:
        return queue.stuck_why
    if one.not_before is not None and one.not_before > facts.at:
        return "It leaves by itself in a few seconds; until then it can be taken back."
    if queue.expected is not None and queue.expected > facts.at + timedelta(minutes=1):
        return f"It waits its turn, and is expected to leave {facts.when(queue.expected)}."
    return "It is about to leave."


def _submitting(_facts: Facts, one: Sending) -> Verdict:
    words = f"Not yet: it is being handed over to {one.provider} at this moment."
    return Verdict(Kind.NOT_YET, words)


def _unknown(facts: Facts, one: Sending) -> Verdict:
    if not one.needs_person:
        more = "The portal looks in the mailbox for what became of it. It is never sent twice."
        words = "Unclear: the connection broke before the provider answered."
        return Verdict(Kind.UNCLEAR, words, f"{one.note} {more}".strip())
    words = "Unclear: nobody can tell whether it left, until somebody has looked in the mailbox."
    return Verdict(Kind.UNCLEAR, words, one.note)


# -- sent ----------------------------------------------------------------------------------------


def _accepted(facts: Facts, one: Sending) -> Verdict:
    for mail in facts.about(one):
        found = _by(facts, mail)
        if found is not None:
            return found
    left_at = one.left_at or one.since
    when = facts.when(left_at)
    left = f"{one.provider} accepted it {when}, from {one.proof_from or one.from_email}"
    if sight(facts) is not Sight.SEES:
        words = f"It left: {left}. Whether it came back cannot be seen here."
        return Verdict(Kind.LEFT, words, _why_unseen(facts))
    assert facts.box and facts.box.looked_at
    long = facts.box.looked_at - left_at
    if facts.at - facts.box.looked_at > LATELY:
        read = facts.when(facts.box.looked_at)
        words = f"It left: {left}. Nothing had come back when its inbox was last read, {read}."
        return Verdict(Kind.LEFT, words, facts.box.inbox_problem)
    if long < SOON_BACK:
        more = "If it comes back, it mostly does so within minutes: look again then."
        return Verdict(Kind.LEFT, f"It left: {left}. Nothing has come back so far.", more)
    words = f"Most likely: {left}, and nothing has come back in {span(long)}."
    return Verdict(Kind.LIKELY, words, "Nobody can see whether it was read, or lies in spam.")


def _why_unseen(facts: Facts) -> str:
    email = facts.box.email if facts.box else "that mailbox"
    return {
        Sight.FORBIDDEN: f"The portal may not read what comes into {email}. Look there yourself.",
        Sight.FAILING: f"What comes into {email} cannot be read just now. Look there yourself.",
        Sight.NEVER: f"What has come into {email} since then was not read yet.",
    }.get(sight(facts), "There is no mailbox any more in which it could be seen.")


def _by(facts: Facts, mail: Came) -> Verdict | None:
    """What one mail that came in says of an accepted one; None where it says nothing."""
    when, who = facts.when(mail.at), mail.who
    if mail.doubtful:
        words = f"Perhaps not: a report came in {when} that may be about it."
        return Verdict(Kind.UNCLEAR, words, "Look at it on the sending’s page, and say so.")
    match mail.sort:
        case Sort.DELIVERED:
            words = f"Yes: it was confirmed {when} that it arrived."
            return Verdict(
                Kind.YES, words, "That is not yet to say that it was read.", "", mail.link
            )
        case Sort.AUTO_REPLY:
            words = f"Almost certainly: an automatic answer came from {who} {when}."
            more = "So it reached that mailbox. Nobody can see whether it was read."
            return Verdict(Kind.LIKELY, words, more, "", mail.link)
        case Sort.CHALLENGE:
            words = f"Not yet: {who} holds it back until somebody answers a question by hand."
            return Verdict(Kind.NOT_YET, words, "Open that mail and answer it.", "", mail.link)
        case Sort.DELAY if facts.at - mail.at < KEEPS_TRYING:
            words = f"Not yet: the customer’s mail server had not taken it {when}."
            more = "It is tried again for some days. If that fails, it comes back."
            return Verdict(Kind.NOT_YET, words, more, "", mail.link)
    return None


def _returned(facts: Facts, one: Sending) -> Verdict:
    mail = next((each for each in facts.about(one) if each.sort is Sort.BOUNCE), None)
    if mail is None:  # a person found it, and wrote down what it said
        return Verdict(Kind.NO, f"No: it came back {facts.when(one.since)}.", one.note)
    named = {each.email.casefold() for each in mail.failed}
    others = tuple(each for each in one.everybody if each.casefold() not in named)
    happened, _, whose_move = _reason(mail).partition(". ")
    happened = f"{happened.rstrip('.')}."
    if named and others and len(others) < len(one.everybody):
        who = listed(tuple(each.email for each in mail.failed))
        words = f"Not everybody: it came back from {who} {facts.when(mail.at)}. {happened}"
        more = f"{whose_move} Nothing came back for {listed(others)}.".strip()
        return Verdict(Kind.NO, words, more, "", mail.link)
    words = f"No: it came back {facts.when(mail.at)}. {happened}"
    return Verdict(Kind.NO, words, whose_move, "", mail.link)


def _reason(mail: Came) -> str:
    if not mail.failed:
        return sentence(Reason.UNKNOWN)
    return sentence(Reason(mail.failed[0].reason))


JUDGES: dict[str, Callable[[Facts, Sending], Verdict]] = {
    "accepted": _accepted,
    "returned": _returned,
    "queued": _queued,
    "submitting": _submitting,
    "held": _held,
    "refused": _refused,
    "unknown": _unknown,
    "cancelled": _cancelled,
}
