"""Plain: an inquiry as lines of text, for a terminal or a message to a colleague. Pure."""

from collections.abc import Iterator

from portal.inquiry.facts import Facts
from portal.inquiry.steps import Light, Step
from portal.inquiry.verdicts import Verdict

SIGNS = {Light.GOOD: "ok", Light.WARN: "look", Light.BAD: "BAD", Light.OPEN: "-"}


def in_plain_text(facts: Facts, verdict: Verdict, steps: tuple[Step, ...]) -> Iterator[str]:
    """The verdict first, then each step with what was found, what to do and what was looked at."""
    paper = facts.paper
    yield f"{paper.noun.capitalize()} {paper.number} for {paper.customer}"
    yield verdict.sentence
    if verdict.more:
        yield verdict.more
    for step in steps:
        yield ""
        yield from _of_step(step)
    yield ""
    yield f"To say on the phone: {verdict.phone}"


def _of_step(step: Step) -> Iterator[str]:
    yield f"[{SIGNS[step.light]}] {step.title}"
    for problem in step.problems:
        yield f"    {problem.message} {problem.hint}".rstrip()
    if not step.problems:
        yield f"    {step.finding}"
    for line in step.evidence:
        yield f"      {line.label}: {line.text}"
    for words in step.words:
        yield f"      In the mail server’s own words: {words}"
