"""Reading: the order in which a mail is asked what it is, and the letter that comes of it."""

import html
import logging
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from portal.incoming import automatic, headers, originals, reports, shapes
from portal.incoming.anatomy import Mail, Part, dissect
from portal.incoming.diagnosis import judge, understood
from portal.incoming.letter import LONGEST_WORDS, Clues, Failed, Letter, Sort
from portal.incoming.originals import Original
from portal.incoming.reasons import Reason
from portal.incoming.reports import Report
from portal.incoming.shapes import Found
from portal.incoming.signs import Signs

log = logging.getLogger(__name__)
Depth = Literal["headers", "whole"]
#: So much of what people are told stands in for a server's own words (characters).
_ENOUGH = 1_500
#: Within so many bytes the headers of a report end.
_HEAD = 20_000

_HELD = Signs(
    r"""
    (your|the|this) MAIL[\w<>@.,+' -]{0,90} (held|quarantine|on hold|pending|waiting|queued)
    (your|the|this) MAIL[\w<>@.,+' -]{0,90} (delayed until|intercepted|not (yet )?(been )?deliver)
    before (your|the|this) MAIL[\w ]{0,20} (can|will|is)
    to (have|get) (your|this|the) MAIL[\w ]{0,20} deliver|deliver your MAIL
    ihre MAIL[\w ]{0,40} (zurückgehalten|erst)|votre MAIL[\w ]{0,40} (en attente|retenu)
    (su|tu) MAIL[\w ]{0,40} (retenid|espera|pendiente)
    sua MAIL[\w ]{0,40} (retida|aguard|pendente)
    """,
    MAIL="e-?mail message mail nachricht courriel mensaje correo mensagem",
)
_PROVE = Signs(
    """
    confirm|verif|authenticat|validat|prove|approv|authoriz|click|reply to this
    bestätig|klick|confirmer|valider|cliquez|haga clic|clique
    """
)
_CHALLENGERS = re.compile(
    r"(?i)boxbe|spamarrest|tmda|challenge|mailblocks|sendio|antispam|spam-?blocker"
)


_SUCCEEDED = re.compile(r"(?i)\bsuccess|^\s{0,4}(?:delivered|relayed|expanded|read)\s?:|\(relay")


@dataclass(frozen=True)
class Case:
    """A mail under examination, with what several readers need of it."""

    mail: Mail
    original: Original
    report: Report | None
    own: frozenset[str]

    @property
    def subject(self) -> str:
        return headers.words(self.mail.first("subject"))

    @property
    def is_own(self) -> bool:
        return headers.sender(self.mail.first("from"))[0] in self.own


@dataclass(frozen=True)
class Finding:
    """What one reader made of it. whom: addresses that it is about besides those that failed."""

    sort: Sort
    how: str
    failed: tuple[Failed, ...] = ()
    whom: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()


def read(raw: bytes, *, own: Collection[str] = (), thread_id: str = "") -> Letter:
    """A whole message, or its beginning. Never raises.

    own: the company's addresses, whose mail is never a reply; thread_id: the provider's.
    """
    return _letter(lambda: dissect(raw), own, thread_id, "whole")


def read_headers(
    fields: Sequence[tuple[str, str]],
    *,
    snippet: str = "",
    own: Collection[str] = (),
    thread_id: str = "",
) -> Letter:
    """What the headers alone tell, and the few words that a provider shows beside. Never raises."""
    return _letter(lambda: _glimpse(fields, snippet), own, thread_id, "headers")


def _glimpse(fields: Sequence[tuple[str, str]], snippet: str) -> Mail:
    kept = [(name[:80], value[: headers.LONGEST_VALUE]) for name, value in fields[:1_000]]
    text = html.unescape(snippet[:2_000]) if "&" in snippet else snippet[:2_000]
    return Mail(kept, (Part([], text.encode("utf-8", "replace")),))


def _letter(take: Callable[[], Mail], own: Collection[str], thread_id: str, depth: Depth) -> Letter:
    try:
        return _understood(take(), frozenset(one.lower() for one in own), thread_id, depth)
    except Exception:  # one odd mail must not keep the watch from the next
        log.warning("a mail that came in could not be read", exc_info=True)
        clues = Clues(thread_id=thread_id)
        return Letter(Sort.OTHER, "", "", "", None, (), clues, depth, "unreadable", True)


def _understood(mail: Mail, own: frozenset[str], thread_id: str, depth: Depth) -> Letter:
    inner = _inner(mail) or mail
    case = Case(mail, originals.returned(inner), reports.delivery(inner), own)
    found = next(one for reader in READERS if (one := reader(case)))
    email, name = headers.sender(mail.first("from"))
    return Letter(
        found.sort,
        email,
        name,
        case.subject,
        headers.moment(mail.first("date")),
        found.failed,
        _clues(case, found, email, thread_id),
        depth,
        found.how,
        automatic.loops(mail),
    )


def _clues(case: Case, found: Finding, sender: str, thread_id: str) -> Clues:
    report, original = case.report, case.original
    answers = [one for name in ("references", "in-reply-to") for one in case.mail.every(name)]
    ids = [*found.ids, *(report.ids if report else ()), *original.ids, *headers.ids(answers)]
    from_them = found.sort in (Sort.REPLY, Sort.AUTO_REPLY, Sort.CHALLENGE)
    whom = [*(one.email for one in found.failed), *found.whom]
    whom += [sender] if from_them and sender else []
    return Clues(
        tuple(dict.fromkeys(ids)),
        tuple(dict.fromkeys(original.tokens)),
        thread_id,
        tuple(dict.fromkeys(one.lower() for one in [*whom, *original.to] if one)),
        (report and report.about) or original.about,
    )


def _inner(mail: Mail) -> Mail | None:
    """The report that a machine passes on as a message of its own within its mail."""
    part = next((one for one in mail.parts if one.kind == "message/rfc822"), None)
    if (
        part is None
        or b"multipart/report" not in part.body[:_HEAD]
        or not automatic.is_machine(mail)
    ):
        return None
    inner = dissect(part.body)
    return inner if shapes.is_called_report(inner) else None


# -- the readers, in their order ------------------------------------------------------------------


def _by_report(case: Case) -> Finding | None:
    """A delivery report as RFC 3464 has it."""
    if case.report is None or not _is_plausible(case):
        return None
    rows = case.report.recipients
    whom = tuple(email for one in rows for email in (one.email, one.also) if email)
    failed = [one for one in rows if one.action == "failed"]
    if not failed:
        late = any(one.action == "delayed" for one in rows)
        return Finding(Sort.DELAY if late else Sort.DELIVERED, "rfc3464", (), whom)
    text = case.mail.text[:_ENOUGH]
    said = shapes.said_of(case.mail, case.own) if not all(one.words for one in failed) else {}
    told = tuple(
        _failed(one.email, one.status, one.words or said.get(one.email.lower(), ""), text)
        for one in failed
        if one.email
    )
    return Finding(_bounce_or_limit(told, text), "rfc3464", told, whom)


def _is_plausible(case: Case) -> bool:
    """Whether a server may have written it: people pass reports on, too."""
    mail = case.mail
    failed = automatic.says_failed(case.subject) or automatic.says_late(case.subject)
    return failed or shapes.is_called_report(mail) or automatic.is_machine(mail)


def _by_disposition(case: Case) -> Finding | None:
    """A reader's program says what became of it: shown or deleted, it had arrived."""
    report = reports.disposition(case.mail)
    if report is None:
        return None
    who = report.recipients[0]
    arrived = who.action.startswith(("displayed", "processed", "dispatched", "deleted"))
    return Finding(
        Sort.DELIVERED if arrived else Sort.OTHER, "rfc8098", (), (who.email,), report.ids
    )


def _by_shape(case: Case) -> Finding | None:
    """A server reports in a text of its own."""
    if case.is_own and not automatic.is_from_nobody(case.mail):
        return None
    found = shapes.read(case.mail, case.original, case.own)
    if found is None:
        return None
    if _SUCCEEDED.search(case.subject):
        return Finding(Sort.DELIVERED, found.how, (), tuple(email for email, _ in found.whom))
    if found.late:
        return Finding(Sort.DELAY, found.how, (), tuple(email for email, _ in found.whom))
    told = tuple(_told(email, section, found) for email, section in found.whom)
    return Finding(_bounce_or_limit(told, found.zone), found.how, told)


def _told(email: str, section: str, found: Found) -> Failed:
    words = shapes.server_words(section)
    return _failed(email, "", words or section, section if words else found.zone)


def _by_type(case: Case) -> Finding | None:
    """Its headers call it a report, and that is all there is to read."""
    kind, parameters = case.mail.content
    if kind != "multipart/report":
        return None
    of = parameters.get("report-type", "").lower()
    if of == "disposition-notification" or _SUCCEEDED.search(case.subject):
        return Finding(Sort.DELIVERED, "headers")
    if of == "feedback-report":
        return Finding(Sort.OTHER, "complaint")
    late = automatic.says_late(case.subject)
    return Finding(Sort.DELAY if late else Sort.BOUNCE, "headers")


def _by_challenge(case: Case) -> Finding | None:
    """Held back until the sender shows that it is a person."""
    if case.is_own or automatic.is_bulk(case.mail, case.own):
        return None
    text = " ".join(case.mail.text[:6_000].lower().split())
    who = case.mail.first("from")[:300]
    known = bool(_CHALLENGERS.search(who))
    refers = automatic.is_machine(case.mail) or bool(case.mail.first("in-reply-to")) or known
    if refers and (known or _HELD.within(text)) and _PROVE.within(text) and _asks(text):
        return Finding(Sort.CHALLENGE, "challenge")
    return None


def _asks(text: str) -> bool:
    return "http" in text or "reply" in text or "antwort" in text


def _by_machine(case: Case) -> Finding | None:
    """Away, or "we have received your mail"."""
    if case.is_own or not automatic.answers_by_itself(case.mail):
        return None
    return Finding(Sort.AUTO_REPLY, "rfc3834")


def _by_person(case: Case) -> Finding | None:
    """Somebody answers: it refers to another mail, or calls itself an answer.

    A list's marks do not speak against it: the company's own address may be a group's.
    """
    mail = case.mail
    if case.is_own or automatic.is_machine(mail):
        return None
    if mail.first("in-reply-to") or mail.first("references"):
        return Finding(Sort.REPLY, "references")
    if automatic.is_answer(case.subject) and not automatic.is_bulk(mail, case.own):
        return Finding(Sort.REPLY, "subject")
    return None


def _otherwise(case: Case) -> Finding:
    return Finding(Sort.OTHER, "nothing")


READERS: tuple[Callable[[Case], Finding | None], ...] = (
    *(_by_report, _by_disposition, _by_shape, _by_type),
    *(_by_challenge, _by_machine, _by_person, _otherwise),
)


# -- what came back -------------------------------------------------------------------------------


def _failed(email: str, status: str, words: str, more: str) -> Failed:
    reason, verdict, status = judge(status, words, more)
    shown = headers.one_line(words or more, LONGEST_WORDS).strip("'\" ")
    return Failed(email, verdict, status, reason, shown)


def _bounce_or_limit(failed: Sequence[Failed], text: str) -> Sort:
    """The sender's own provider gave up, which says nothing about those it was for."""
    limited = any(one.reason is Reason.LIMIT for one in failed)
    if limited or (not failed and understood(text) is Reason.LIMIT):
        return Sort.LIMIT
    return Sort.BOUNCE
