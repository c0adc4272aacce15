"""Shapes: failures that servers report in a text of their own, each in its way.

A known opening names the writer. Whom it is about and what was said is then found alike for all:
an address that stands in the text, and the words from there to the next one.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from portal.incoming import automatic, headers
from portal.incoming.anatomy import Mail
from portal.incoming.codes import REPLY, STATUS
from portal.incoming.originals import Original
from portal.incoming.signs import Signs

#: So much of a text is looked at: characters, lines, addresses.
LONGEST, MOST_LINES, MOST_FOUND = 16_000, 300, 50
#: Within so many characters the writer has said what it writes about.
_NEAR = 4_000

#: Phrases in lower case, of which one stands near the beginning.
_OPENINGS = {
    "exim": ("created automatically by mail delivery software",),
    "qmail": (
        "this is the qmail-send program",
        "i wasn't able to deliver your message",
        "i wasn't able to deliver the following message",
    ),
    "yahoo": ("we were unable to deliver your message to the following",),
    "postfix": ("this is the mail system at host", "this is the postfix program at host"),
    "sendmail": (
        "the original message was received at",
        "----- the following addresses had",
        "transcript of session follows",
    ),
    "google": (
        "delivery to the following recipient",
        "your message wasn't delivered to",
        "technical details of permanent failure",
        "there was a problem delivering your message",
        "message blocked your message to",
    ),
    "exchange": (
        "delivery has failed to these recipients",
        "did not reach the following recipient",
        "did not reach some or all of the intended recipients",
        "diagnostic information for administrators",
        "diagnoseinformationen für administratoren",
        "informations de diagnostic",
        "información de diagnóstico",
        "informazioni di diagnostica",
        "diagnostische gegevens voor",
        "informações de diagnóstico",
        "диагностические сведения",
        "管理者向けの診断情報",
        "管理者用診断情報",
        "管理员的诊断信息",
    ),
    "ses": ("an error occurred while trying to deliver the mail to the following recipients",),
    "gateway": ("blocked by our spam firewall", "your message was rejected by the mail gateway"),
}
#: Where what left begins, of which nothing is the server's word any more.
_RETURNED = Signs(
    r"""
    below this line is a copy|this is a copy of (the|your) message|here is (a|your) (copy|message)
    below is (a copy|the)|message headers? follow|message text follows|your original message
    original (message|mail)( headers?| follows?| text)?\b(?! was| received| id\b)
    (the )?original message (follows|headers)|---- ?original
    (the )?(header|copy|text|body)s? of (the|your) (original|message|mail|e-?mail)
    (undelivered|rejected|returned) (message|mail)\s*-|returned message|unsent message
    received: from |return-path: |message-id:\x20
    ursprüngliche(r)? nachricht|original-nachricht|en-têtes de message|encabezados|intestazioni
    """,
    begin=r"^[\s>*|#=_.-]{0,40}",
    flags=re.I | re.M,
)
#: Pieces of a page, of a shortened text, and of what the writer says about itself.
_ASIDE = re.compile(
    r"(?i)\s{0,20}(?:(?:from|sender|reply-to|message-id|x-\S{1,40}|received|return-path"
    r"|envelope-from|received-from-mta|mail from|>>> mail)\s{0,4}[:<]|.{0,80}\b(?:(?:contact"
    r"|assistance|questions?)\b|id\s{0,4}[:<]))"
)
_OURS = Signs(
    """
    (your|the) (e-?mail|message|mail)|message could not|could not be delivered to
    ihre (nachricht|e-?mail)|votre (message|courriel|mail)|(su|tu) (mensaje|correo)
    (sua|tua) mensagem|vostro messaggio|uw bericht
    """
)
_TO_LINE = re.compile(r"(?im)^[ \t>]{0,20}(?:to|cc|an|à|para) {0,9}:.{0,2000}$")
#: "<final> (expanded from <whom we wrote to>)".
_PASSED_ON = re.compile(r"(?i)\((?:expanded|generated) from")
_OFFICIALS = re.compile(
    r"(?i)(post|host|web)master|abuse|support|help(desk)?|mailer-daemon|noreply|admin"
)
_REMOTE = re.compile(
    r"(?i)(?:said|says|returned|response|responded|answered|error|reason|code|meldet|<<<"
    r"|-->|<--|was)[\w ]{0,40}\W{1,6}(?=[45]\d\d)"
)


@dataclass(frozen=True)
class Found:
    """whom: each address with what stands about it; zone: what the writer says, in lower case on
    one line; late: it is still trying."""

    how: str
    whom: tuple[tuple[str, str], ...]
    zone: str
    late: bool


@dataclass(frozen=True)
class _Words:
    """What a mail says of a delivery. zone: before what it returns; flat: in lower case, on one
    line; how: whose opening it has."""

    subject: str
    zone: str
    flat: str
    how: str

    @property
    def failed(self) -> bool:
        return automatic.says_failed(self.subject) or automatic.says_late(self.subject)

    @property
    def answers(self) -> bool:
        """Whether a server's answer stands in it."""
        said = self.flat[:_NEAR]
        return bool(REPLY.search(said) or STATUS.search(said))

    @property
    def late(self) -> bool:
        """Whether somebody still tries: a "(Failure)" is none, whatever the text promises."""
        over = "failure" in self.subject.lower()
        return not over and (automatic.says_late(self.subject) or automatic.will_try(self.flat))


def read(mail: Mail, original: Original, own: Collection[str]) -> Found | None:
    """What a machine reports as text; None where it reports nothing of a delivery."""
    zone = _zone(mail.text)
    flat = " ".join(zone.lower().split())
    words = _Words(headers.words(mail.first("subject")), zone, flat, _opening(flat))
    if not _is_report(mail, words, original, own):
        return None
    whom = _whom(mail, zone, original, own)
    return Found(words.how or "plain", tuple(whom), flat, words.late)


def _zone(text: str) -> str:
    """What the writer says itself, before what it returns."""
    text = text[:LONGEST]
    lead = len(text) - len(text.lstrip())
    cut = _RETURNED.within(text, lead + 1)
    # Some begin with what they return; then all of it counts.
    return text[: cut.start()] if cut and "@" in text[: cut.start()] else text


def _opening(flat: str) -> str:
    begin = flat[:_NEAR]
    return next(
        (how for how, phrases in _OPENINGS.items() if any(one in begin for one in phrases)), ""
    )


def _is_report(mail: Mail, words: _Words, original: Original, own: Collection[str]) -> bool:
    if mail.first("x-failed-recipients") or is_called_report(mail):
        return True
    if automatic.is_daemon(mail):
        told = words.answers and "deliver" in words.flat[:_NEAR]
        return words.failed or bool(words.how) or told
    if automatic.says_away(words.subject) or automatic.is_answer(words.subject):
        return False
    if automatic.is_advertising(mail, own):
        return False
    if automatic.is_machine(mail) or automatic.is_unanswerable(mail):
        return _reports_by_machine(mail, words, original)
    told = "recipient" in words.flat[:_NEAR] and words.answers
    return words.failed and (bool(words.how) or told) and not mail.first("in-reply-to")


def _reports_by_machine(mail: Mail, words: _Words, original: Original) -> bool:
    """Whether a machine of unknown kind writes about a mail that was sent to it."""
    named = original.is_whole or "@" in words.flat or automatic.is_from_nobody(mail)
    ours = words.answers or (named and _OURS.within(words.flat[:_NEAR]) is not None)
    failed = words.failed or (original.is_whole and automatic.says_failed(words.flat[:1_500]))
    return failed and (bool(words.how) or ours)


def is_called_report(mail: Mail) -> bool:
    """Whether its headers say that it reports on a delivery."""
    kind, parameters = mail.content
    return (
        kind == "multipart/report"
        and "delivery" in parameters.get("report-type", "delivery").lower()
    )


# -- whom it is about ----------------------------------------------------------------------------


def _whom(mail: Mail, zone: str, original: Original, own: Collection[str]) -> list[tuple[str, str]]:
    """Each address that failed with what was said about it."""
    without = _not_them(mail, own)
    # A report may begin with whom the mail went to; it is about those who are named besides.
    sections = _sections(_TO_LINE.sub("", zone), without) or _sections(zone, without)
    named = headers.addresses(mail.first("x-failed-recipients")[: headers.LONGEST_VALUE])
    if not named:
        named = _likely(list(sections), original)
    by_low = {email.lower(): words for email, words in sections.items()}
    whole = "\n".join(sections.values()) or zone
    alone = len(named) == 1
    return [(email, whole if alone else by_low.get(email.lower(), whole)) for email in named]


def _likely(found: list[str], original: Original) -> list[str]:
    """Those to whom the mail went, where that is known; else those no official is among."""
    to = set(original.to)
    known = [email for email in found if email.lower() in to]
    people = [email for email in found if not _OFFICIALS.match(email)]
    return known or people or found or list(original.to[:1] if len(to) == 1 else ())


def _not_them(mail: Mail, own: Collection[str]) -> set[str]:
    """Those who did not fail: the writer, and those to whom it was written."""
    about = [*headers.every(mail.fields, "from"), *headers.every(mail.fields, "to")]
    about += headers.every(mail.fields, "delivered-to")
    named = headers.addresses(" ".join(about)[: headers.LONGEST_VALUE])
    return {one.lower() for one in (*named, *own)}


def _sections(zone: str, without: set[str]) -> dict[str, str]:
    """Each address with the lines from where it stands to the next address, joined."""
    found: dict[str, list[str]] = {}
    here: list[str] = []
    for line in zone.split("\n", MOST_LINES)[:MOST_LINES]:
        named = list(_named_in(line, without))
        if _PASSED_ON.search(line) and named:
            if len(named) == 1 and found:
                found.popitem()
            found[named[-1]] = here = [*here]
            named = []
        for email in named:
            here = found.setdefault(email, [])
        here.append(line)
        if len(found) >= MOST_FOUND:
            break
    return {email: "\n".join(lines) for email, lines in found.items()}


def said_of(mail: Mail, own: Collection[str]) -> dict[str, str]:
    """By address in lower case, what the text of a report says that its server said."""
    sections = _sections(_zone(mail.text), _not_them(mail, own))
    return {email.lower(): server_words(section) for email, section in sections.items()}


def _named_in(line: str, without: set[str]) -> Iterator[str]:
    if "@" not in line or _ASIDE.match(line):
        return
    for email in headers.addresses(line[:2_000]):
        if email.lower() not in without:
            yield email


def server_words(section: str) -> str:
    """Of what stands about an address, what its server said; nothing where it said nothing."""
    remote = _REMOTE.search(section)
    begin = remote.end() if remote else _earliest(section)
    return "" if begin < 0 else section[begin:]


def _earliest(section: str) -> int:
    found = [one.start() for one in (REPLY.search(section), STATUS.search(section)) if one]
    return min(found, default=-1)
