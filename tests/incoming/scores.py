"""Scores: how much of a labelled flood is found, and how much of what is found is right."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from portal.incoming import Letter, Sort, read
from tests.incoming.mails import OWN, Labelled


@dataclass
class Score:
    """right, and how many there were (real) and were said to be (said)."""

    right: int = 0
    real: int = 0
    said: int = 0

    @property
    def recall(self) -> float:
        return self.right / self.real if self.real else 1.0

    @property
    def precision(self) -> float:
        return self.right / self.said if self.said else 1.0


@dataclass
class Scores:
    """By sort, by verdict of each recipient, and of what ties a mail to ours. wrong: what was
    taken for what, by whom it was written."""

    sorts: dict[str, Score] = field(default_factory=dict)
    verdicts: dict[str, Score] = field(default_factory=dict)
    tied: Score = field(default_factory=Score)
    wrong: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def add(self, mail: Labelled, letter: Letter) -> None:
        self._count(self.sorts, mail.how, str(mail.sort), str(letter.sort))
        if mail.sort in (Sort.BOUNCE, Sort.LIMIT):
            self._add_verdicts(mail, letter)
        if mail.ties:
            self.tied.real += 1
            self.tied.right += mail.ties in letter.clues.message_ids[:3]

    def _add_verdicts(self, mail: Labelled, letter: Letter) -> None:
        found = {one.email.lower(): str(one.verdict) for one in letter.failed}
        for email in {*mail.failed, *found}:
            real = str(mail.failed[email]) if email in mail.failed else "nobody"
            self._count(self.verdicts, mail.how, real, found.get(email, "nobody"))

    def _count(self, table: dict[str, Score], how: str, real: str, said: str) -> None:
        table.setdefault(real, Score()).real += 1
        table.setdefault(said, Score()).said += 1
        table[real].right += real == said
        if real != said:
            self.wrong[(how, real, said)] += 1


def judged(mails: Iterable[Labelled]) -> Scores:
    scores = Scores()
    for mail in mails:
        scores.add(mail, read(mail.raw, own=OWN))
    return scores
