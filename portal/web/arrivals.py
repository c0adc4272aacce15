"""Arrivals: what came in about a sending, as its pages tell it, and what is said of a guess."""

from collections.abc import Iterable
from dataclasses import dataclass

from flask import Blueprint, abort, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import bounces, corrections, mailboxes
from portal.bounces import Arrival, Move, Standing, Watch
from portal.bounces.following import UNREAD, brief
from portal.columns import now
from portal.dispatch import Dispatch, Purpose, State
from portal.extensions import db
from portal.incoming import Reason, Sort, sentence
from portal.mailboxes import Mailbox
from portal.people import address_key
from portal.web.documents import lower_first
from portal.web.guard import on_site
from portal.web.page import see_other

pages = Blueprint("arrivals", __name__)

#: Where its owner reads a mail, by who keeps it.
WHERE = {"gmail": "Gmail", "microsoft": "Outlook"}


@dataclass(frozen=True)
class Report:
    """What was said of one recipient's copy: in our words with whose move it is, and the server's
    own. is_recipient: whether the sending went there; else somebody passed it on."""

    email: str
    said: str
    status: str
    words: str
    is_recipient: bool


@dataclass(frozen=True)
class Line:
    """One mail that came in. state: one of the STATES of macros.html; told: more of it, in a
    sentence."""

    arrival: Arrival
    state: str
    title: str
    told: str
    reports: list[Report]


@dataclass(frozen=True)
class Back:
    """That a sending came back: title and text for the top of its page, and whose move it is.

    reports: by recipient; each: whether they are told one by one. domain: what it came from.
    """

    title: str
    text: str
    each: bool
    move: Move
    reports: list[Report]
    arrival: Arrival
    domain: str


# -- telling ---------------------------------------------------------------------------------------


def lines(arrivals: Iterable[Arrival], one: Dispatch) -> list[Line]:
    """What came in about a sending for certain, oldest first."""
    return [_line(each, one) for each in arrivals if each.standing != Standing.ASKED]


def _line(arrival: Arrival, one: Dispatch) -> Line:
    state, title, told = TOLD[Sort(arrival.sort)]
    told = told if arrival.whole or arrival.sort != Sort.BOUNCE or arrival.failed else UNREAD
    return Line(arrival, state, title.format(arrival.who), told, reports(arrival, one))


#: Its state, its title with who wrote it, and what more there is to say.
TOLD = {
    Sort.BOUNCE: ("returned", "It came back", ""),
    Sort.DELAY: ("late", "Not delivered yet", "A mail server on the way keeps trying."),
    Sort.REPLY: ("replied", "{} replied", ""),
    Sort.AUTO_REPLY: (
        "automatic",
        "An automatic answer from {}",
        "A machine wrote it: it does not say that anybody has read yours.",
    ),
    Sort.CHALLENGE: (
        "challenged",
        "{} holds it back until somebody answers",
        "Open that mail and do what it asks for, once: then this and all later mail gets through.",
    ),
    Sort.LIMIT: ("late", "The mail provider says that a limit was reached", ""),
    Sort.DELIVERED: (
        "arrived",
        "The other side confirmed that it arrived",
        "Their mail server says so, or the reader. Whether it was read is another matter.",
    ),
    Sort.OTHER: ("automatic", "A mail from {}", ""),
}


def reports(arrival: Arrival, one: Dispatch) -> list[Report]:
    """What one report says of each recipient it names."""
    sent_to = _everybody(one)
    return [
        Report(
            failed["email"],
            _sentence(failed["reason"], whole=arrival.whole),
            failed["status"],
            failed["words"],
            address_key(failed["email"]) in sent_to,
        )
        for failed in arrival.failed
    ]


def _sentence(reason: str, *, whole: bool) -> str:
    return sentence(Reason(reason)) if whole or reason != Reason.UNKNOWN else UNREAD


@pages.app_template_filter()
def read_in(arrival: Arrival) -> str:
    """The place in which its owner reads it, as a link says it."""
    return WHERE.get(arrival.mailbox.provider, "the mailbox")


def back(one: Dispatch, arrivals: Iterable[Arrival]) -> Back | None:
    """What the reports say of a sending that came back; None where only a person said so."""
    found = [each for each in arrivals if each.is_bounce and each.standing == Standing.FOLLOWED]
    if one.state != State.RETURNED or not found:
        return None
    told = _each_once(report for each in found for report in reports(each, one))
    failed = [each for arrival in found for each in arrival.failed]
    return Back(
        title=_title(one, found, told),
        text=_text(one, told),
        each=len(_everybody(one)) > 1 or not all(report.is_recipient for report in told),
        move=bounces.move_after(each["reason"] for each in failed),
        reports=told,
        arrival=found[-1],
        domain=one.from_email.rpartition("@")[2].lower(),
    )


def _each_once(told: Iterable[Report]) -> list[Report]:
    """The last word on each recipient."""
    return list({address_key(each.email): each for each in told}.values())


def _title(one: Dispatch, found: list[Arrival], told: list[Report]) -> str:
    """Came back: this address does not exist."""
    everybody = len(_everybody(one))
    theirs = sum(each.is_recipient for each in told)
    if 0 < theirs < everybody:
        return f"Came back for {theirs} of {everybody}"
    whole = any(each.whole for each in found)
    reasons = {each["reason"]: each for arrival in found for each in arrival.failed}
    if len(reasons) != 1 or (not whole and Reason.UNKNOWN in reasons):
        return "Came back"
    [failed] = reasons.values()
    said = "nobody says clearly why" if failed["reason"] == Reason.UNKNOWN else brief(failed)
    return f"Came back: {lower_first(said).rstrip('.')}"


def _text(one: Dispatch, told: list[Report]) -> str:
    """Whose move it is, where it went to one alone; else what is known of the others."""
    if not told:
        return UNREAD
    others = len(_everybody(one) - {address_key(each.email) for each in told})
    if others:
        return (
            f"Nothing came back for {'the other one' if others == 1 else f'the {others} others'}."
        )
    if len(told) > 1:
        return ""
    _, _, move = told[0].said.partition(". ")
    return move or told[0].said


def _everybody(one: Dispatch) -> set[str]:
    return {address_key(each) for each in (*one.to, *one.cc)}


@pages.app_template_filter()
def in_short(arrival: Arrival) -> str:
    """What it is, in one line without a full stop: "Mary Lee replied"."""
    if arrival.standing == Standing.ASKED:
        return "A report came in that may be about this one"
    return TOLD[Sort(arrival.sort)][1].format(arrival.who)


@dataclass(frozen=True)
class Step:
    """What to do next about one that came back: where, and the words of the link."""

    href: str
    label: str


def next_steps(sendings: Iterable[Dispatch]) -> dict[int, Step]:
    """The next step of each that came back, by sending."""
    returned = [one for one in sendings if one.state == State.RETURNED]
    found = bounces.returns_of([one.id for one in returned])
    return {one.id: next_step(one, found.get(one.id, [])) for one in returned}


@pages.app_template_filter()
def step_after(one: Dispatch) -> Step | None:
    """The next step of one sending, where it came back and was not sent again."""
    return next_steps([one]).get(one.id) if corrections.can_correct(one) else None


def next_step(one: Dispatch, arrivals: list[Arrival]) -> Step:
    """Correct the address, put the domain right, or try again once that is worth it."""
    told = back(one, arrivals)
    move = told.move if told else Move.CORRECT
    here = Step(url_for("dispatches.show", dispatch_id=one.id), "See what to do")
    if move is Move.DOMAIN and told:
        return Step(url_for("domains.show", domain=told.domain), f"See what {told.domain} lacks")
    if move is Move.AGAIN and told and now() >= bounces.try_again_from(told.arrival.at):
        return Step(url_for("resendings.new", dispatch_id=one.id), "Try again?")
    if move is Move.CORRECT:
        return Step(url_for("corrections.new", dispatch_id=one.id), "Correct the address…")
    return here


# -- a guess -------------------------------------------------------------------------------------


@pages.post("/arrivals/<int:arrival_id>/answer")
def answer(arrival_id: int) -> ResponseReturnValue:
    """Somebody says whether a report is about the sending that it was guessed to be about."""
    arrival = _guess(arrival_id)
    said = request.form.get("about", "")
    if said not in ("yes", "no"):
        flash("Choose whether it is about this one.", "bad")
    elif not bounces.say(arrival, current_user, is_it=said == "yes"):
        flash("Somebody has said so already.", "info")
    elif said == "no":
        flash("Thank you. It is left out of account.", "info")
    there = url_for("dispatches.show", dispatch_id=arrival.dispatch_id)
    return see_other(on_site(request.form.get("next") or there))


def _guess(arrival_id: int) -> Arrival:
    """An arrival whose sending this person may decide about."""
    arrival = db.session.get(Arrival, arrival_id)
    if arrival is None or arrival.dispatch is None:
        abort(404)
    if arrival.dispatch.purpose == Purpose.NOTICE and not current_user.is_manager:
        abort(403)
    return arrival


# -- inboxes -------------------------------------------------------------------------------------


@pages.app_template_filter()
def watch(box: Mailbox) -> Watch:
    """How the inbox of a mailbox stands."""
    return bounces.watch_of(box)


def may_let_read(box: Mailbox) -> str:
    """Where whoever is signed in lets the portal read a mailbox; "" where they cannot."""
    if box.is_relay or not mailboxes.may_manage(box, current_user):
        return ""
    home = url_for("settings.show" if box.owner_id is None else "profile.show")
    return f"{home}#mailbox-{box.id}"


@pages.app_template_filter()
def reason_words(caution: bounces.Caution) -> str:
    """Why mail to an address came back, without whose move it is."""
    return brief({"reason": caution.reason})


@pages.app_template_filter()
def reason_in_full(reason: str) -> str:
    """Why it came back, with whose move it is."""
    return sentence(Reason(reason))
