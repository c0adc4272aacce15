"""How well and how fast what comes in is read: 10,000 mixed mails with labels of their own.

    python -m tests.bench.incoming [--keep]

Recall: of the mails that are of a sort, how many were said to be. Precision: of those said to be,
how many are. The speed stands beside the standard library's parse of the same bytes, which says
nothing yet of what they mean. --keep writes the figures into docs/incoming.md.
"""

import argparse
import email
import email.policy
import re
import time
from collections.abc import Callable

from portal.incoming import read
from tests.bench.machine import described
from tests.incoming.mails import OWN, Labelled
from tests.incoming.mixture import flood, strange
from tests.incoming.scores import Score, judged
from tests.servers import ROOT

MAILS, STRANGE, ROUNDS = 10_000, 2_000, 3
KEPT = ROOT / "docs" / "incoming.md"
HEAD = "| what | mails | recall | precision | | unseen shapes | recall | precision |\n"
RULE = "|---|--:|--:|--:|---|--:|--:|--:|\n"


def main() -> None:
    asked = argparse.ArgumentParser(prog="python -m tests.bench.incoming")
    asked.add_argument("--keep", action="store_true")
    told = asked.parse_args()
    mails, others = list(flood(MAILS)), list(strange(STRANGE))
    text = f"{table(mails, others)}\n{speed(mails)}\n\n{described().splitlines()[0]}\n"
    print(text)
    if told.keep:
        page = KEPT.read_text()
        between = re.compile(r"(?<=<!-- figures -->\n).*?(?=<!-- end figures -->)", re.S)
        KEPT.write_text(between.sub(lambda _: f"\n{text}\n", page))


def table(mails: list[Labelled], others: list[Labelled]) -> str:
    """Every class with its figures, on what was tuned for and on what was not."""
    ours, theirs = judged(mails), judged(others)
    both = [(ours.sorts, theirs.sorts), (ours.verdicts, theirs.verdicts)]
    rows = [
        _row(name, known[name], unseen.get(name, Score()))
        for known, unseen in both
        for name in sorted(known)
        if name != "nobody"
    ]
    rows.append(_row("tied to the mail it is about", ours.tied, theirs.tied))
    return HEAD + RULE + "\n".join(rows) + "\n"


def _row(name: str, known: Score, unseen: Score) -> str:
    return f"| {name} | {_figures(known)} | | {_figures(unseen)} |"


def _figures(score: Score) -> str:
    if not score.real:
        return "| |"
    said = f"{score.precision:.4f}" if score.said else ""
    return f"{score.real:,} | {score.recall:.4f} | {said}"


def speed(mails: list[Labelled]) -> str:
    """Mails a second, the quickest of some rounds, beside what only takes them apart."""
    seen = rate(mails, lambda raw: read(raw, own=OWN))
    beside = rate(mails, lambda raw: email.message_from_bytes(raw, policy=email.policy.default))
    return (
        f"{seen:,.0f} mails a second on one core; the standard library's parse alone: "
        f"{beside:,.0f} ({seen / beside:.2f} times as many)."
    )


def rate(mails: list[Labelled], work: Callable[[bytes], object]) -> float:
    took = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for mail in mails:
            work(mail.raw)
        took.append(time.process_time() - started)
    return len(mails) / min(took)


if __name__ == "__main__":
    main()
