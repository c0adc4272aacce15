"""Signs: phrases by which a text is known for what it is, looked for all at once."""

import re
from functools import cached_property


class Signs:
    """One pattern of many phrases, separated by bars and by lines.

    begin, end: what stands before and after each; parts: lists of words, separated by spaces, that
    stand in the phrases under a name in capitals, an underscore in them for a space. Repetitions in
    phrases are bounded: what comes in may have been written to make a search endless.
    """

    def __init__(
        self, phrases: str, *, begin: str = "", end: str = "", flags: int = re.I, **parts: str
    ) -> None:
        self._phrases, self._around, self._flags, self._parts = phrases, (begin, end), flags, parts

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """Made when it is first needed: most processes never read a mail."""
        lines = (line.strip() for line in self._phrases.splitlines())
        every = "|".join(line for line in lines if line)
        for name, words in self._parts.items():
            every = every.replace(name, f"({'|'.join(words.split())})".replace("_", " "))
        begin, end = self._around
        return re.compile(f"{begin}(?:{every}){end}", self._flags)

    def within(self, text: str, after: int = 0) -> re.Match[str] | None:
        """The first place where one stands, from this character on."""
        return self._pattern.search(text, after)

    def opens(self, text: str) -> bool:
        """Whether the text begins with one."""
        return self._pattern.match(text) is not None
