"""Results: what a receiver found of a mail, as it wrote down in Authentication-Results (RFC 8601).

The only proof there is: the records merely suggest it. Whoever sends a mail may write such a header
into it too, so only those of the receiving host itself are believed. Pure.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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


def as_received(headers: Sequence[tuple[str, str]], provider: str) -> Results:
    """What the provider of a receiving mailbox itself found. Never fails.

    headers: from the top downwards; provider: gmail, microsoft, or anything else for a mailbox at
    a mail server, whose own name the topmost Received says. Microsoft does not name itself, so
    there the topmost header counts, if it names nobody (Defender, "message-headers-eop-mdo").
    """
    if provider == "microsoft":
        found = parse(next(_written(headers, "authentication-results"), ""))
        return found if not found.host else Results()
    if provider == "gmail":
        return read_authentication_results(headers, "mx.google.com")
    return read_authentication_results(headers, _receiver(headers))


def _receiver(headers: Iterable[tuple[str, str]]) -> str:
    """The host that took a mail in: nobody outside can put a Received above its own."""
    by = re.search(r"\bby\s+([A-Za-z0-9.-]+)", next(_written(headers, "received"), "")[:LONGEST])
    return by[1] if by else ""


def _written(headers: Iterable[tuple[str, str]], wanted: str) -> Iterator[str]:
    return (value for name, value in headers if name.strip().lower() == wanted)


def parse(value: str) -> Results:
    """One header's value, with its host where it names one. Never fails: what cannot be read is
    left out."""
    parts = _split(_tokens(_without_comments(value[:LONGEST])))
    if not parts or not parts[0]:
        return Results()
    unnamed = parts[0][1:2] == ["="]  # it begins with what was found
    host = "" if unnamed else parts[0][0]
    told = parts if unnamed else parts[1:]
    return Results(host, tuple(one for one in map(_finding, told) if one))


# -- what it proves --------------------------------------------------------------------------------

#: Microsoft's word for a pass where no policy is published.
PASSES = ("pass", "bestguesspass")


@dataclass(frozen=True)
class Check:
    """What came of one method. of: the domain it spoke for; counts: it passed, and for the domain
    of the From (aligned)."""

    method: str
    result: str
    of: str = ""
    counts: bool = False

    @property
    def words(self) -> str:
        """As a page says it: "SPF pass (aligned)"."""
        name = self.method.upper()
        if not self.result:
            return f"{name} not tried"
        if self.method == "dmarc" or self.result != "pass":
            return f"{name} {self.result}"
        return f"{name} pass (aligned)" if self.counts else f"{name} pass, but for {self.of}"


@dataclass(frozen=True)
class Proof:
    """What a test mail proves. passed: whether receivers believe that it is the domain's own."""

    passed: bool
    spf: Check
    dkim: Check
    dmarc: Check

    @property
    def checks(self) -> tuple[Check, ...]:
        return self.spf, self.dkim, self.dmarc

    @property
    def words(self) -> str:
        return ", ".join(one.words for one in self.checks)

    def as_json(self) -> dict[str, Any]:
        """As it is stored: {"passed": true, "spf": ["pass", "brightspark.example", true], …}."""
        checks = {one.method: [one.result, one.of, one.counts] for one in self.checks}
        return {"passed": self.passed, **checks}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Proof":
        """as_json() backwards."""
        made = [Check(one, *kept[one]) for one in ("spf", "dkim", "dmarc")]
        return cls(bool(kept["passed"]), *made)


def prove(found: Results, is_ours: Callable[[str, str], bool]) -> Proof:
    """What a receiver's findings come to.

    is_ours: whether a method's domain counts as that of the From: ("spf", "bounce.x.example").
    """
    spf, dkim = (_best(found, method, is_ours) for method in ("spf", "dkim"))
    said = found.of("dmarc")
    believed = said in PASSES
    aligned = spf.counts or dkim.counts
    # Without a policy nobody is told to refuse it, and one of the two speaks for it all the same.
    passed = believed or (said in ("", "none") and aligned)
    return Proof(passed, spf, dkim, Check("dmarc", said, counts=believed))


def _best(found: Results, method: str, is_ours: Callable[[str, str], bool]) -> Check:
    """Of several signatures the one that counts, else one that passed."""
    checks = [
        Check(method, one.result, domain, one.result == "pass" and is_ours(method, domain))
        for one in found.findings
        if one.method == method
        for domain in [_spoke_for(one)]
    ]
    ranked = sorted(checks, key=lambda one: (not one.counts, one.result != "pass"))
    return next(iter(ranked), Check(method, ""))


def _spoke_for(one: Finding) -> str:
    named = ("header.d", "header.i") if one.method == "dkim" else ("smtp.mailfrom", "smtp.helo")
    value = next(filter(None, map(one.fact, named)), "")
    return value.rpartition("@")[2].strip("<>.").lower()


def advice(proof: Proof, domain: str, provider: str, key_help: str = "") -> list[str]:
    """What to do so that it passes, or passes more surely; nothing where all is in order.

    provider: who sends; key_help: where its DKIM key is made.
    """
    told = []
    if not proof.spf.counts:
        told.append(_about_spf(proof.spf, domain, provider))
    if not proof.dkim.counts:
        told.append(_about_dkim(proof.dkim, domain, key_help or f"{provider}’s own settings"))
    if proof.passed and proof.dmarc.result != "pass":
        told.append(f"{domain} publishes no DMARC policy yet: add the record shown above.")
    if proof.passed and proof.dmarc.result == "pass" and proof.dkim.counts:
        return []  # a signature that counts holds wherever the mail is forwarded
    return told


def _about_spf(spf: Check, domain: str, provider: str) -> str:
    if spf.result == "pass":
        return (
            f"SPF spoke for {spf.of}, which is not the domain of the address: it cannot help "
            "here. DKIM has to."
        )
    return (
        f"SPF did not allow {provider} to send for {spf.of or domain}: add the record shown above."
    )


def _about_dkim(dkim: Check, domain: str, where: str) -> str:
    if dkim.result == "pass":
        return f"It was signed for {dkim.of}, not for {domain}: switch that on at {where}."
    if dkim.result in ("", "none"):
        return f"Nothing signed it (DKIM): switch it on for {domain}, at {where}."
    return (
        f"Its DKIM signature did not hold: compare the key that {domain} publishes with the one "
        f"at {where}."
    )


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
