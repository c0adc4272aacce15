"""Mending: the one SPF record that keeps what a domain allows and allows what is lacking. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from portal.published import spf
from portal.published.answers import Answer, Kind, Sheet
from portal.published.findings import Needed
from portal.published.spf import Result, Survey
from portal.published.ways import Way

#: Whether a domain's record lets a way's servers send.
Judge = Callable[[Sheet, str, Way], Result]
#: What says nothing against a way: it passes, or it cannot be told.
NOT_AGAINST = (Result.PASS, Result.TEMPERROR, Result.UNSURE)


@dataclass(frozen=True)
class Mended:
    """lacking: the ways that even a faultless record of these words would not let send. record:
    what to publish instead; None where nothing need be changed, or nobody can tell what."""

    lacking: tuple[Way, ...] = ()
    record: Needed | None = None


def mend(sheet: Sheet, found: Survey, ways: Sequence[Way], judge: Judge) -> Mended:
    """What is to change. ways: those whose envelope bears this very domain."""
    without = _faulty(found)
    now = _published(sheet, found, spf.with_terms(found.texts, [], without))
    against = [way for way in ways if judge(now, found.domain, way) not in NOT_AGAINST]
    lacking = tuple(way for way in against if way.spf_term)
    wanted = list(dict.fromkeys(way.spf_term for way in lacking))
    text = spf.with_terms(found.texts, wanted, without)
    meant = [one for one in found.answer.values if spf.is_meant_as_spf(one)]
    same = [" ".join(one.split()) for one in found.texts] == [text]
    nothing = not found.texts and not wanted
    if same or nothing or spf.survey(_published(sheet, found, text), found.domain).is_error:
        return Mended(lacking)
    return Mended(lacking, Needed(found.domain, "TXT", text, (*found.texts, *meant)))


def _published(sheet: Sheet, found: Survey, text: str) -> Sheet:
    return sheet.if_it_said((found.domain, "TXT"), Answer(Kind.FOUND, (text,)))


def _faulty(found: Survey) -> set[str]:
    """The words of the domain's own record that stop receivers from reading it."""
    own = {word for text in found.texts for word in text.split()}
    words = {word for at, word in found.broken if at == found.domain}
    words |= {*found.missing, *found.loops}
    if len(found.voids) > spf.MOST_VOID:
        words |= set(found.voids)
    return words & own
