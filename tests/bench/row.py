"""Row: one figure of the table, beside its floor or its peer, and the mark it is to reach."""

from dataclasses import dataclass
from typing import Any

#: Widths of the columns on a terminal.
HEAD = f"{'':<58}{'seen':>15}{'beside':>22}{'ratio':>9}  {'mark':<9}"


@dataclass(frozen=True)
class Row:
    """seen and beside: figures with their unit. figure: what the mark judges, a ratio or, where
    the mark is a limit in itself, the figure seen. mark: such as ">= 0.95"; "" judges nothing.
    """

    what: str
    seen: str
    beside: str = ""
    figure: float | None = None
    mark: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the mark was reached; None where there is none, or nothing to judge."""
        if not self.mark or self.figure is None:
            return None
        sign, limit = self.mark.split()
        return self.figure >= float(limit) if sign == ">=" else self.figure <= float(limit)

    @property
    def verdict(self) -> str:
        return {True: "pass", False: "MISS", None: ""}[self.met]

    @property
    def ratio(self) -> str:
        if self.figure is None:
            return ""
        return f"{self.figure:.3f}" if abs(self.figure) < 10 else f"{self.figure:.1f}"

    def line(self) -> str:
        """For a terminal."""
        ratio = f"{self.ratio:>9}  {self.mark:<9}"
        return f"{self.what:<58}{self.seen:>15}{self.beside:>22}{ratio} {self.verdict}".rstrip()

    def markdown(self) -> str:
        words = (self.what, self.seen, self.beside, self.ratio, self.mark, self.verdict)
        return f"| {' | '.join(words)} |"

    def as_json(self) -> dict[str, Any]:
        return {
            "what": self.what,
            "seen": self.seen,
            "beside": self.beside,
            "figure": self.figure,
            "mark": self.mark,
        }
