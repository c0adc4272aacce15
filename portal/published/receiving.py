"""Receiving: the servers that take a domain's mail in, by its MX records, and whether any does."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from portal.published.answers import EMPTY, Answer, Kind, Question, Sheet
from portal.published.asking import Ask
from portal.published.names import RESERVED, BadDomain, to_ascii


class Takes(StrEnum):
    """Whether a domain takes mail, as far as its DNS says."""

    YES = "yes"
    NO_NAME = "no_name"
    NOTHING = "nothing"  # neither a mail server nor an address of its own
    REFUSES = "refuses"  # RFC 7505: its only mail server is called "."
    UNKNOWN = "unknown"  # nobody answered in time
    UNASKED = "unasked"


@dataclass(frozen=True)
class Receiving:
    """What the DNS says of a domain that mail goes to. note: why nobody was asked, or who looks
    after it, as one sentence."""

    takes: Takes
    servers: tuple[str, ...] = ()
    note: str = ""


def judge(sheet: Sheet, domain: str) -> Receiving:
    """Whether a domain takes mail; what the sheet lacks for that, it wants then. Pure.

    Without an MX record, its own address is where mail goes (RFC 5321, 5.1).
    """
    answer = sheet.look(domain, "MX")
    if answer.kind is Kind.FOUND:
        servers = tuple(one for one in answer.values if one)
        return Receiving(Takes.YES if servers else Takes.REFUSES, servers)
    if answer.kind is Kind.NO_NAME:
        return Receiving(Takes.NO_NAME)
    if answer.kind is not Kind.NOTHING:
        return Receiving(Takes.UNKNOWN)
    own = [sheet.look(domain, kind) for kind in ("A", "AAAA")]
    if any(one.kind is Kind.FOUND for one in own):
        return Receiving(Takes.YES, (domain,))
    gone = all(one.kind in EMPTY for one in own)
    return Receiving(Takes.NOTHING if gone else Takes.UNKNOWN)


def judge_all(answers: Mapping[Question, Answer], domains: set[str]) -> dict[str, Receiving]:
    """The same of several, by what is known of them."""
    sheet = Sheet(answers)
    return {one: judge(sheet, one) for one in sorted(domains)}


def wanted(answers: Mapping[Question, Answer], domains: set[str]) -> set[Question]:
    """What is to be asked before all of them can be judged."""
    sheet = Sheet(answers)
    for one in domains:
        judge(sheet, one)
    return sheet.wanted


def servers_of(ask: Ask, domain: str, seconds: float) -> tuple[str, ...]:
    """Their names; none where there are none, or nobody answered in time."""
    try:
        name = to_ascii(domain)
    except BadDomain:
        return ()
    if name.rpartition(".")[2] in RESERVED:
        return ()
    return ask((name, "MX"), seconds).values
