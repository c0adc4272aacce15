"""Signs: phrases by which a text is known for what it is, looked for all at once."""

import re


def signs(
    phrases: str, *, begin: str = "", end: str = "", flags: int = re.I, **parts: str
) -> re.Pattern[str]:
    """One pattern of all these phrases, separated by bars and by lines.

    begin, end: what stands before and after each; parts: lists of words, separated by spaces, that
    stand in the phrases under a name in capitals, an underscore in them for a space. Repetitions in
    phrases are bounded: what comes in may have been written to make a search endless.
    """
    lines = (line.strip() for line in phrases.splitlines())
    every = "|".join(line for line in lines if line)
    for name, words in parts.items():
        every = every.replace(name, f"({'|'.join(words.split())})".replace("_", " "))
    return re.compile(f"{begin}(?:{every}){end}" if begin or end else every, flags)
