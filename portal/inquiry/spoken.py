"""Spoken: what to tell the customer down the phone, in words that promise nothing unknown. Pure."""

from datetime import datetime
from typing import TYPE_CHECKING

from babel.dates import format_datetime

from portal.incoming import Reason, Sort, Verdict
from portal.inquiry.facts import LOCALE, Facts, Sending, listed

if TYPE_CHECKING:
    from portal.inquiry.verdicts import Kind


def words(facts: Facts, kind: "Kind") -> str:
    """One short paragraph; kind: what is known."""
    one, what = facts.telling, f"{facts.paper.noun} {facts.paper.number}"
    if one is None or (kind == "never"):
        return _not_sent(facts, what)
    if kind == "no":
        return _came_back(facts, one, what)
    if kind == "not_yet" and one.accepted_at is None:
        return (
            f"Your {what} is ready, but our e-mail to {_people(one)} has not left yet. It goes out "
            "as soon as what holds it up here is put right."
        )
    if kind == "unclear" and one.accepted_at is None:
        return (
            f"We tried to e-mail {what} to {_people(one)} on {_day(facts, one.asked_at)}, and are "
            "checking whether it left. Could you tell me whether you have it, in your inbox or in "
            "your junk folder?"
        )
    return _held_up(facts, one, what) if kind == "not_yet" else _look_for_it(facts, one, what)


def _held_up(facts: Facts, one: Sending, what: str) -> str:
    """It left, and the customer's own mail system lets nobody have it yet."""
    sent = f"We e-mailed {what} to {_people(one)} on {_day(facts, one.left_at or one.since)}"
    if any(mail.sort is Sort.CHALLENGE for mail in facts.about(one)):
        return (
            f"{sent}. Your mail system holds it back until we have answered a question, which we "
            f"will do. If you let mail from {one.from_email} through, it asks no more."
        )
    return (
        f"{sent}, but your mail system has not taken it yet; it is tried again for some days. Is "
        "there another address I can send it to meanwhile?"
    )


def _look_for_it(facts: Facts, one: Sending, what: str) -> str:
    when = _day(facts, one.left_at or one.since)
    source = one.proof_from or one.from_email
    return (
        f"We e-mailed {what} to {_people(one)} on {when}. It came from {source}, with the subject "
        f"“{one.subject}”. Please search your e-mail for {source}, and look in your junk or spam "
        "folder as well. If it is there, mark it as not junk, so that the next one reaches you. "
        "If you cannot find it, I can send it again, also to another address."
    )


def _came_back(facts: Facts, one: Sending, what: str) -> str:
    mail = next((each for each in facts.about(one) if each.failed), None)
    if one.state == "refused":
        return f"Our e-mail with {what} could not be sent. We will put that right, then send it."
    if mail is not None and mail.is_ours:
        return (
            f"We e-mailed {what} to {_people(one)}, but your mail system turned it away, though "
            f"the address is right. Could you ask whoever looks after your e-mail to let mail from "
            f"{one.from_email} through? Is there another address I can send it to meanwhile?"
        )
    failed = mail.failed if mail is not None else ()
    who = listed(tuple(each.email for each in failed if each.email)) or _people(one)
    if any(each.verdict == Verdict.SOFT for each in failed):
        full = failed[0].reason == Reason.MAILBOX_FULL
        why = "your mailbox is full" if full else "your mail system could not take it just then"
        return (
            f"We e-mailed {what} to {who}, but it came back: {why}. Shall I send it again, or is "
            "there another address I can use?"
        )
    return (
        f"We e-mailed {what} to {who}, but it came back. Could you spell the right e-mail address "
        "for me? I will send it there while we speak."
    )


def _not_sent(facts: Facts, what: str) -> str:
    to = tuple(one.email for one in facts.addressees if one.way == "To")
    if to:
        return (
            f"We have not e-mailed {what} yet, so you have not missed anything. It is to go to "
            f"{listed(to)}. Is that still the right address?"
        )
    return (
        f"We have not e-mailed {what} yet, since we have no address to send it to. Which e-mail "
        "address should it go to?"
    )


def _people(one: Sending) -> str:
    return listed(one.to)


def _day(facts: Facts, moment: datetime) -> str:
    """Monday 23 November at 10:42."""
    there = moment.astimezone(facts.zone)
    return format_datetime(there, "EEEE d MMMM 'at' HH:mm", locale=LOCALE)
