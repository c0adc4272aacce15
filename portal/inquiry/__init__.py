"""Inquiries: whether a customer got one document, found out by going through every step.

facts_of() reads what is known; everything after it is pure: the steps find what is wrong and what
puts it right, and the verdict says in one sentence what follows, never more than is known.
"""

from dataclasses import dataclass

from portal.accounts import User
from portal.documents import Document
from portal.inquiry.facts import Facts
from portal.inquiry.gathering import facts_of
from portal.inquiry.plain import in_plain_text
from portal.inquiry.reaching import Reach, reached
from portal.inquiry.steps import Light, Step, steps
from portal.inquiry.story import Told, story
from portal.inquiry.verdicts import Kind, Verdict, judge

__all__ = [
    "Facts",
    "Inquiry",
    "Kind",
    "Light",
    "Reach",
    "Step",
    "Told",
    "Verdict",
    "examine",
    "facts_of",
    "in_plain_text",
    "inquire",
    "reached",
    "story",
]


@dataclass(frozen=True)
class Inquiry:
    """The answer, and how it was come by."""

    facts: Facts
    verdict: Verdict
    steps: tuple[Step, ...]


def examine(facts: Facts) -> Inquiry:
    """What follows from the facts. Pure."""
    return Inquiry(facts, judge(facts), steps(facts))


def inquire(document: Document, asker: User | None = None) -> Inquiry:
    """Whether the customer got it. asker: who would press Send, if it were to be sent now."""
    return examine(facts_of(document, asker))
