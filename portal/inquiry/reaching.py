"""Reaching: whether the domains of a document's addresses take mail, asked of name servers now."""

from dataclasses import dataclass

from portal import checks, domains
from portal.checks import Problem
from portal.inquiry.facts import Facts
from portal.published.receiving import Receiving, Takes

#: Seconds for which somebody waits at most until all of them are looked up.
PATIENCE = 3.0


@dataclass(frozen=True)
class Reach:
    """Whether one address's domain takes mail. problem: None where it does, or nobody knows."""

    email: str
    found: Receiving
    problem: Problem | None

    @property
    def domain(self) -> str:
        return self.email.rpartition("@")[2]

    @property
    def words(self) -> str:
        """What was found, as one sentence or two."""
        if self.problem is not None:
            return f"{self.problem.message} {self.problem.hint}"
        return {
            Takes.YES: self.found.note or f"It takes mail, at {', '.join(self.found.servers[:2])}.",
            Takes.UNKNOWN: "Nobody answered in time, which says nothing against it.",
        }.get(self.found.takes, f"Not looked up. {self.found.note}".rstrip())


def reached(facts: Facts) -> list[Reach]:
    """Every address with what its domain says. Stores nothing; ends what is open in this thread."""
    asked = domains.taking_mail([one.email for one in facts.addressees], PATIENCE)
    return [Reach(email, found, checks.takes_mail(email, found)) for email, found in asked.items()]
