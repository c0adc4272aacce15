"""Steps: what an inquiry goes through, each with what it found, why, and what puts it right. Pure.

They are those of the office's own guide for "she says she has not got it", in its order, and what
only the portal can know: what became of the mail after it had left.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from portal.checks import Problem
from portal.documents.status import BatchStatus, explain
from portal.incoming import Sort
from portal.inquiry.facts import Addressee, Came, Facts, Sending, Sight, listed, span
from portal.recipients import Receiver

#: What of pre-flight's findings belongs to which step.
OF_PAPER = ("no_lines", "files_too_large", "left_before")
OF_PEOPLE = ("no_recipient", "no_copy", "too_many_recipients")
#: Where nothing has left yet, what keeps it from leaving is still to be put right.
UNSENT = ("refused", "cancelled")


class Light(StrEnum):
    """How a step stands. OPEN: there is nothing to say yet."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    OPEN = "open"


@dataclass(frozen=True)
class Line:
    """One fact behind a finding; link: where it can be read itself, outside the portal."""

    label: str
    text: str
    link: str = ""


@dataclass(frozen=True)
class Step:
    """One step. problems: what is to be put right, the worst first; words: a provider's own."""

    name: str
    title: str
    light: Light
    finding: str
    evidence: tuple[Line, ...] = ()
    problems: tuple[Problem, ...] = ()
    words: tuple[str, ...] = ()


def steps(facts: Facts) -> tuple[Step, ...]:
    """All of them, in the order in which one looks."""
    return tuple(one(facts) for one in STEPS)


def is_ahead(facts: Facts) -> bool:
    """Whether it is still to be sent, so that what pre-flight says counts."""
    return facts.telling is None or facts.telling.state in UNSENT


def _found(facts: Facts, codes: tuple[str, ...]) -> tuple[Problem, ...]:
    """What pre-flight found of these, where it is still to be sent."""
    return tuple(one for one in facts.problems if one.code in codes and is_ahead(facts))


def _light(problems: tuple[Problem, ...], fine: Light = Light.GOOD) -> Light:
    if any(one.blocking for one in problems):
        return Light.BAD
    return Light.WARN if problems else fine


# -- the document --------------------------------------------------------------------------------


def paper(facts: Facts) -> Step:
    """Whether it is finished, and its batch completed."""
    one = facts.paper
    problems = (*_found(facts, OF_PAPER), *_of_batch(facts), *_changed(facts))
    status = explain(one.batch_status, one.email_status)
    lines = [Line("E-mail status", f"{status.label}. {status.meaning}")]
    if one.batch_id:
        stands = "being put together" if one.batch_status == BatchStatus.DRAFT else "completed"
        lines.append(Line("Batch", f"{one.batch_name}, {stands}"))
    if one.changed_at:
        by = f", {one.changed_by}" if one.changed_by else ""
        lines.append(Line("Last changed", f"{facts.clock(one.changed_at)}{by}"))
    fine = f"{one.number} is finished{', and its batch was completed' if one.batch_id else ''}."
    found = problems[0].message if problems else fine
    return Step("paper", f"The {one.noun}", _light(problems), found, tuple(lines), problems)


def _of_batch(facts: Facts) -> tuple[Problem, ...]:
    one, item = facts.paper, facts.paper.item
    if not is_ahead(facts) or not one.batch_id:
        return ()
    where = str(one.batch_id)
    if one.batch_status == BatchStatus.DRAFT:
        words = f"Its batch “{one.batch_name}” is a draft: nothing leaves before it is completed."
        hint = "Check the batch, then complete it."
        return (Problem("batch_draft", words, hint, "batch", where=where),)
    if item is not None and item.state == "left":
        words = f"The batch “{one.batch_name}” was completed without it. {item.problem}".rstrip()
        return (Problem("left_out", words, item.hint, "batch", where=where),)
    return ()


def _changed(facts: Facts) -> tuple[Problem, ...]:
    one, sent = facts.paper, facts.telling
    if sent is None or is_ahead(facts) or one.version == sent.version or one.changed_at is None:
        return ()
    words = (
        f"{one.number} was changed {facts.when(one.changed_at)}, after Send was pressed. What was "
        "sent is as it was before."
    )
    hint = "If the customer is to have it as it is now, send it again."
    return (Problem("changed_since", words, hint, "send", blocking=False),)


# -- who receives it -----------------------------------------------------------------------------


def people(facts: Facts) -> Step:
    """Who should receive it, and why: what the property's ticks say, or who wrote them in."""
    problems = (*_found(facts, OF_PEOPLE), *_others_now(facts))
    lines = [*_going_to(facts), *(_ticks(facts, one) for one in facts.contacts)]
    to = listed(tuple(one.who or one.email for one in facts.addressees if one.way == "To"))
    verb = "would go" if is_ahead(facts) else "goes"
    if facts.telling is not None and facts.telling.state in ("accepted", "returned"):
        verb = "went"
    found = problems[0].message if problems else f"It {verb} to {to}."
    return Step("people", "Who should receive it", _light(problems), found, tuple(lines), problems)


def _going_to(facts: Facts) -> list[Line]:
    return [Line(one.way, f"{one.email}: {one.why}") for one in facts.addressees]


def _ticks(facts: Facts, one: Receiver) -> Line:
    """What a contact of the property is ticked for."""
    ticks = {"Primary": one.primary, "Billing": one.billing, facts.mark: one.marked}
    ticked = [name for name, is_so in ticks.items() if is_so]
    gone = "" if one.active else " (no longer active)"
    return Line(f"At {facts.paper.property_name}", f"{one.record}{gone}: " + (
        ", ".join(ticked) if ticked else f"neither Primary, Billing nor {facts.mark}"
    ))  # fmt: skip


def _others_now(facts: Facts) -> tuple[Problem, ...]:
    """That it went to others than it would go to now: a tick or an address has changed since."""
    sent = facts.telling
    if sent is None or is_ahead(facts):
        return ()
    went = {one.casefold() for one in sent.everybody}
    missing = [one for one in facts.should.to if one.email.casefold() not in went]
    if not missing:
        return ()
    who = listed(tuple(one.email for one in missing))
    words = f"By the contacts as they are now it would go to {who}, where it was not sent."
    hint = "If that is right, send it again."
    return (Problem("others_now", words, hint, "send", blocking=False),)


def addresses(facts: Facts) -> Step:
    """Whether each address is one, is theirs, and has not failed before."""
    title = "The addresses" if len(facts.addressees) > 1 else "The address"
    if not facts.addressees:
        return Step("addresses", title, Light.OPEN, "There is no address to look at yet.")
    problems = tuple(problem for one in facts.addressees for problem in one.problems)
    fine = "It is written properly" if len(facts.addressees) == 1 else "All are written properly"
    found = problems[0].message if problems else f"{fine}, and nothing speaks against it."
    lines = tuple(Line(one.email, _holder(one)) for one in facts.addressees)
    return Step("addresses", title, _light(problems), found, lines, problems)


def _holder(one: Addressee) -> str:
    return f"The address of {one.who}" if one.who else "No contact has this address"


# -- who sends it --------------------------------------------------------------------------------


def sender(facts: Facts) -> Step:
    """Who it comes from and why, and whether that domain is in order."""
    sent, choice = facts.telling, facts.choice
    ahead = tuple(
        one for one in facts.problems
        if is_ahead(facts) and one.code.startswith(("no_sender", "sender_"))
    )  # fmt: skip
    problems = (*ahead, *_of_domain(facts))
    email = choice.sender.email if choice.sender else ""
    source, why = (sent.from_email, sent.reason) if sent else (email, choice.reason)
    lines = [Line("Why", why)] if why else []
    if facts.domain is not None:
        asked = facts.domain.checked_at
        when = f" Looked up {facts.when(asked)}." if asked else ""
        lines.append(Line(facts.domain.name, f"{facts.domain.words}.{when}"))
    verb = "It would come" if sent is None else "It comes"
    found = problems[0].message if problems else f"{verb} from {source}."
    light = _light(problems)
    return Step("sender", "Who it comes from", light, found, tuple(lines), problems)


def _of_domain(facts: Facts) -> tuple[Problem, ...]:
    one = facts.domain
    if one is None or one.tone != "bad":
        return ()
    words = (
        f"Mail from {one.name} does not pass the check for forged senders, so it may be in the "
        "customer’s spam folder, or be turned away."
    )
    hint = "The domain’s page shows the record to add."
    return (Problem("domain_fails", words, hint, "domain", blocking=False, where=one.name),)


def mailbox(facts: Facts) -> Step:
    """Whether the mailbox it leaves through works now, with its limits and holds."""
    title, box = "The mailbox", facts.box
    if box is None:
        return Step("mailbox", title, Light.OPEN, "No mailbox is connected for it yet.")
    lines = (Line(box.email, box.provider), Line("Can it send?", box.said.can_send))
    if box.sends:
        light = Light.GOOD
        return Step("mailbox", title, light, f"{box.email} is connected and working.", lines)
    problem = Problem(
        "mailbox",
        box.why_not or f"{box.email}: {box.said.label}.",
        box.said.to_do,
        "settings" if box.said.state in ("sign_in", "not_connected") else "outbox",
        blocking=box.said.state in ("sign_in", "not_connected"),
    )
    # What has left is not touched by it any more.
    gone = facts.telling is not None and facts.telling.state in ("accepted", "returned")
    found = (problem,) if not gone else (replace(problem, blocking=False),)
    return Step("mailbox", title, _light(found), problem.message, lines, found)


# -- what became of it ---------------------------------------------------------------------------


def leaving(facts: Facts) -> Step:
    """Whether it was accepted, when, by whom, and under which From."""
    title, one = "Did it leave?", facts.telling
    if one is None:
        return Step("leaving", title, Light.OPEN, "It was not sent yet.")
    light, found, problem = LEAVING[one.state](facts, one)
    who = f", {one.asked_by}" if one.asked_by else ""
    lines = [Line("Asked for", f"{facts.clock(one.asked_at)}{who}, as sending {one.number}")]
    if one.accepted_at:
        lines.append(Line("Accepted", f"{facts.clock(one.accepted_at)}, by {one.provider}"))
        lines.append(Line("From", _proof(one)))
    if one.attempts > 1:
        lines.append(Line("Attempts", str(one.attempts)))
    problems = (problem,) if problem else ()
    return Step("leaving", title, light, found, tuple(lines), problems, one.words)


Left = tuple[Light, str, Problem | None]


def _accepted(facts: Facts, one: Sending) -> Left:
    when = facts.when(one.left_at or one.since)
    if one.proof != "differs":
        return Light.GOOD, f"Yes: {one.provider} accepted it {when}.", None
    words = f"It left {when}, but as {one.proof_from} rather than {one.from_email}."
    hint = "Nothing more leaves from that address until somebody has looked into it."
    return Light.BAD, words, Problem("other_from", words, hint, "settings", blocking=False)


def _returned(facts: Facts, one: Sending) -> Left:
    accepted = f" {facts.when(one.accepted_at)}" if one.accepted_at else ""
    return Light.GOOD, f"Yes: {one.provider} accepted it{accepted}. It came back later.", None


def _queued(facts: Facts, one: Sending) -> Left:
    return Light.WARN, f"Not yet: it is in the queue since {facts.clock(one.queued_at)}.", None


def _submitting(_facts: Facts, one: Sending) -> Left:
    return Light.WARN, f"It is being handed over to {one.provider}.", None


def _held(facts: Facts, one: Sending) -> Left:
    words = f"No: it is on hold since {facts.clock(one.since)}. {one.note}".rstrip()
    hint = "It leaves by itself once that is put right."
    if one.held_by_hand:
        hint = "It leaves once somebody lets it go."
    fix = "outbox" if one.held_by_hand else "sending"
    return Light.BAD, words, Problem("on_hold", one.note, hint, fix, where=str(one.id))


def _refused(facts: Facts, one: Sending) -> Left:
    words = f"No: {one.provider} refused it {facts.when(one.since)}. {one.note}".rstrip()
    problem = Problem("refused", one.note, "Correct it, then send it again.", "send")
    return Light.BAD, words, problem


def _unknown(facts: Facts, one: Sending) -> Left:
    if not one.needs_person:
        words = "Nobody knows yet: the answer got lost, and the portal looks for what became of it."
        return Light.WARN, words, None
    words = "Nobody knows: the portal could not find out, so a person has to look."
    hint = "Look in the mailbox’s Sent, and say what you found."
    where = str(one.id)
    return Light.BAD, words, Problem("unclear", words, hint, "sending", where=where)


def _cancelled(facts: Facts, one: Sending) -> Left:
    problem = Problem("cancelled", "It was cancelled.", "Send it again if you want.", "send")
    return Light.BAD, f"No: it was cancelled {facts.when(one.since)}.", problem


LEAVING: dict[str, Callable[[Facts, Sending], Left]] = {
    "accepted": _accepted,
    "returned": _returned,
    "queued": _queued,
    "submitting": _submitting,
    "held": _held,
    "refused": _refused,
    "unknown": _unknown,
    "cancelled": _cancelled,
}


def _proof(one: Sending) -> str:
    if one.proof == "matches":
        return f"{one.proof_from or one.from_email}, as the sent copy shows"
    if one.proof == "differs":
        return f"{one.proof_from}, as the sent copy shows; asked for was {one.from_email}"
    return f"{one.from_email}. The sent copy was not read, so nothing proves it"


# -- what came in --------------------------------------------------------------------------------

#: What each sort of mail that came in is called, who: "Mary Lee".
SAID_OF = {
    Sort.BOUNCE: "It came back",
    Sort.DELAY: "Not delivered yet",
    Sort.REPLY: "{who} replied",
    Sort.AUTO_REPLY: "An automatic answer came from {who}",
    Sort.CHALLENGE: "{who} holds it back until somebody answers that mail by hand",
    Sort.LIMIT: "The provider wrote that the mailbox has reached its limit",
    Sort.DELIVERED: "It was confirmed that it arrived",
}


def came(facts: Facts) -> Step:
    """What came in about it: returned, late, answered; and whether that could be seen at all."""
    title, one = "What came in since", facts.telling
    if one is None or not (one.left_at or facts.came):
        return Step("came", title, Light.OPEN, "It has not left, so nothing can have come back.")
    lines = (*(_line(facts, one) for one in facts.came), *_inbox(facts))
    problems = (*_from_what_came(facts), *_unseen(facts))
    newest = facts.came[0] if facts.came else None
    found = _said(facts, newest) if newest else _nothing(facts)
    words = tuple(each.words for one in facts.came for each in one.failed if each.words)
    light = _light(problems, Light.GOOD if newest or sight(facts) is Sight.SEES else Light.OPEN)
    return Step("came", title, light, found, lines, problems, words)


def _said(facts: Facts, one: Came) -> str:
    return f"{_called(one)}, {facts.clock(one.at)}."


def _called(one: Came) -> str:
    words = SAID_OF.get(one.sort, "A mail came in").format(who=one.who)
    return f"Perhaps about this one: {words}" if one.doubtful else words


def _line(facts: Facts, one: Came) -> Line:
    words = _called(one)
    whom = listed(tuple(each.email for each in one.failed if each.email))
    return Line(facts.clock(one.at), f"{words} ({whom})" if whom else words, one.link)


def sight(facts: Facts) -> Sight:
    """Whether a return of the telling sending would have been seen by now."""
    since = facts.telling.left_at if facts.telling else None
    if facts.box is None or since is None:
        return Sight.NOBODY
    return facts.box.sight(since)


def _nothing(facts: Facts) -> str:
    box = facts.box
    email = box.email if box else "the mailbox"
    looked = box.looked_at if box else None
    return {
        Sight.SEES: f"Nothing had come back and nobody had answered {facts.when(looked)}."
        if looked
        else "",
        Sight.FORBIDDEN: f"The portal may not read the inbox of {email}, so a return would not be "
        "seen here.",
        Sight.FAILING: f"The inbox of {email} cannot be read just now, so a return would not be "
        "seen here.",
        Sight.NEVER: f"The inbox of {email} was last read {facts.when(looked)}, before it left."
        if looked
        else f"The inbox of {email} has not been read yet, so a return would not be seen here.",
        Sight.NOBODY: "There is no mailbox any more in which a return could be seen.",
    }[sight(facts)]


def _inbox(facts: Facts) -> tuple[Line, ...]:
    box = facts.box
    if box is None or not box.readable:
        return ()
    read = f"read {facts.when(box.looked_at)}" if box.looked_at else "not read yet"
    heads = ", of each mail only the head" if box.heads else ""
    return (Line("Inbox", f"{box.email}, {read}{heads}. {box.inbox_problem}".rstrip()),)


def _from_what_came(facts: Facts) -> tuple[Problem, ...]:
    one = facts.telling
    found = (_of_arrival(facts, each) for each in (facts.about(one) if one else ()))
    return tuple(problem for problem in found if problem is not None)[:3]


def _of_arrival(facts: Facts, one: Came) -> Problem | None:
    words, where = _said(facts, one), str(one.sending_id)
    if one.doubtful:
        hint = "Look at it, and say whether it is about this one."
        return Problem("perhaps", words, hint, "sending", where=where)
    if one.sort is Sort.BOUNCE and one.is_ours:
        hint = "The address is right: your own set-up is what their server did not like."
        return Problem("came_back_policy", words, hint, "domain", where=_domain_of(facts))
    if one.sort is Sort.BOUNCE:
        return Problem("came_back", words, "Correct the address and send again.", "sending",
                       where=where)  # fmt: skip
    if one.sort is Sort.CHALLENGE:
        return Problem("challenge", words, "Open that mail and answer it.", "mail", where=one.link)
    if one.sort is Sort.DELAY:
        hint = "The mail server keeps trying for some days. If it is urgent, ring the customer."
        return Problem("late", words, hint, "", blocking=False)
    return None


def _domain_of(facts: Facts) -> str:
    return facts.domain.name if facts.domain else ""


def _unseen(facts: Facts) -> tuple[Problem, ...]:
    if sight(facts) not in (Sight.FORBIDDEN, Sight.FAILING):
        return ()
    hint = "Look into that mailbox yourself, or let the portal read what comes in."
    return (Problem("unseen", _nothing(facts), hint, "settings", blocking=False),)


#: What becomes of what waits, by its state.
GOES_ON = {
    "queued": "If nothing moves for an hour, the office is told.",
    "held": "It waits for as long as it takes, and is not lost.",
    "submitting": "",
    "unknown": "It is never sent again on a guess.",
}


def waiting(facts: Facts) -> Step:
    """How long it has waited, until when, and whether the alarm of an hour has gone off."""
    title, one, queue = "How long it has waited", facts.newest, facts.queue
    if one is None or one.state not in GOES_ON:
        return Step("waiting", title, Light.GOOD if one else Light.OPEN, "Nothing is waiting.")
    began = one.queued_at if one.state == "queued" else one.since
    long = span(facts.at - began)
    lines = [Line("Since", facts.clock(began))]
    if one.state == "queued" and queue.service != "ok":
        words = f"For {long}. The sending service cannot be reached just now."
        hint = "It leaves by itself once that is back."
        away = Problem("service", words, hint, "workers")
        return Step("waiting", title, Light.BAD, words, tuple(lines), (away,))
    if queue.expected and queue.expected > facts.at:
        lines.append(Line("Expected to leave", facts.clock(queue.expected)))
    if queue.stuck_since is None:
        found = f"For {long}. {GOES_ON[one.state]}".rstrip()
        return Step("waiting", title, Light.WARN, found, tuple(lines))
    words = f"For {long}, and nothing moves since {facts.clock(queue.stuck_since)}."
    alarm = Problem("stuck", f"{words} {queue.stuck_why}", "", "settings")
    return Step("waiting", title, Light.BAD, words, tuple(lines), (alarm,))


STEPS: tuple[Callable[[Facts], Step], ...] = (
    paper,
    people,
    addresses,
    sender,
    mailbox,
    leaving,
    came,
    waiting,
)
