"""Results: what a receiver found of a mail, as it wrote down in Authentication-Results (RFC 8601).

The only proof there is: the records merely suggest it. Whoever sends a mail may write such a header
into it too, so only those of the receiving host itself are believed. Pure.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

#: The longest header that is read; a receiver writes some hundred characters.
LONGEST = 20_000
TOKEN = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;=()"]+)|([;=]))', re.S)


@dataclass(frozen=True)
class Finding:
    """One method's result: spf, dkim, dmarc and the like; pass, fail, none and the like.

    facts: what it was judged by: {"header.from": "brightspark.example"}.
    """

    method: str
    result: str
    facts: tuple[tuple[str, str], ...] = ()

    def fact(self, name: str) -> str:
        return next((value for key, value in self.facts if key == name), "")


@dataclass(frozen=True)
class Results:
    """What one receiver found. Empty findings: it says nothing, or nothing that can be believed."""

    host: str = ""
    findings: tuple[Finding, ...] = ()

    def of(self, method: str) -> str:
        """A method's result: pass if any of its findings is; empty where it was not tried."""
        found = [one.result for one in self.findings if one.method == method]
        return "pass" if "pass" in found else next(iter(found), "")

    @property
    def proves(self) -> bool:
        """Whether the mail passed aligned, by the receiver's own word."""
        return self.of("dmarc") == "pass"


def read_authentication_results(headers: Iterable[tuple[str, str]], trusted_host: str) -> Results:
    """What the trusted host wrote. Never fails.

    headers: name and value, from the top downwards; trusted_host: what the mailbox's own receiver
    calls itself, such as mx.google.com. The topmost of its headers counts, as those
    further down were there before the mail arrived.
    """
    for name, value in headers:
        if name.strip().lower() != "authentication-results":
            continue
        found = parse(value)
        if found.host.lower() == trusted_host.strip().lower() and trusted_host:
            return found
    return Results()


def parse(value: str) -> Results:
    """One header's value. Never fails: what cannot be read is left out."""
    parts = _split(_tokens(_without_comments(value[:LONGEST])))
    if not parts or not parts[0]:
        return Results()
    return Results(parts[0][0], tuple(one for one in map(_finding, parts[1:]) if one))


def _without_comments(value: str) -> str:
    """The value without what stands in brackets, which may be nested; quoted ones stay."""
    kept, depth, quoted, skip = [], 0, False, False
    for char in value:
        if skip:
            skip = False
        elif char == "\\":
            skip = True
        elif char == '"' and not depth:
            quoted = not quoted
        elif char == "(" and not quoted:
            depth += 1
        elif char == ")" and depth:
            depth -= 1
            kept.append(" ")
            continue
        if not depth:
            kept.append(char)
    return "".join(kept)


def _tokens(value: str) -> list[str]:
    """Words and signs in order; a quoted word begins with a quotation mark, so that it is none."""
    found = []
    for match in TOKEN.finditer(value):
        quoted, word, sign = match.groups()
        found.append(word or sign if quoted is None else '"' + re.sub(r"\\(.)", r"\1", quoted))
    return found


def _split(tokens: list[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for token in tokens:
        if token == ";":
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _finding(tokens: list[str]) -> Finding | None:
    pairs = [
        (tokens[at - 1].lower(), tokens[at + 1].removeprefix('"'))
        for at, token in enumerate(tokens)
        if token == "=" and 0 < at < len(tokens) - 1
    ]
    if not pairs or tokens[1] != "=":
        return None
    method, result = pairs[0]
    return Finding(method.partition("/")[0], result.lower(), tuple(pairs[1:]))
