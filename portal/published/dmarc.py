"""DMARC: what receivers are to do with mail that does not pass aligned (RFC 9989). Pure.

The policy is found by walking up the names, at most eight, instead of by a list of public suffixes.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from portal.published.answers import Kind, Sheet
from portal.published.dkim import tags

MOST_QUERIES = 8


class Policy(StrEnum):
    """What a receiver is asked to do with mail that fails."""

    NONE = "none"
    QUARANTINE = "quarantine"
    REJECT = "reject"


MILDER = {Policy.REJECT: Policy.QUARANTINE, Policy.QUARANTINE: Policy.NONE}


@dataclass(frozen=True)
class Record:
    """A record as written. policy None: it names none that exists."""

    text: str
    policy: Policy | None
    subdomains: Policy | None
    missing_names: Policy | None
    reports: tuple[str, ...]
    strict_spf: bool = False
    strict_dkim: bool = False
    is_test: bool = False
    psd: str = "u"
    removed: tuple[str, ...] = ()

    @property
    def is_usable(self) -> bool:
        """Whether it says anything: without a policy it still does if it asks for reports."""
        return self.policy is not None or bool(self.reports)

    def applied(self, *, below: bool, there: bool) -> Policy:
        """What is asked for a name. below: the record stands above it. there: the name exists."""
        asked = self.policy or Policy.NONE
        if below:
            subdomains = self.subdomains or asked
            asked = subdomains if there else self.missing_names or subdomains
        return MILDER.get(asked, Policy.NONE) if self.is_test else asked


@dataclass
class Found:
    """What the walk found. at: the domain whose record applies; several: names with more than one
    record, which all count for nothing; unread: names that could not be asked."""

    domain: str
    organisation: str
    record: Record | None = None
    at: str = ""
    policy: Policy | None = None
    several: list[str] = field(default_factory=list)
    broken: list[tuple[str, str]] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    @property
    def is_above(self) -> bool:
        return bool(self.at) and self.at != self.domain


def is_dmarc(text: str) -> bool:
    """Whether a TXT record is one of these: "v=DMARC1" comes first and is written just so."""
    first = text.split(";")[0].replace(" ", "").replace("\t", "")
    return first == "v=DMARC1"


def is_meant_as_dmarc(text: str) -> bool:
    """Whether somebody seems to have meant one, and nobody will read it as one."""
    return not is_dmarc(text) and "dmarc" in text[:40].lower()


def parse(text: str) -> Record:
    """Read a record. Never fails: what has no meaning counts as not written."""
    known = tags(text)
    return Record(
        text,
        policy=_policy(known.get("p", "")),
        subdomains=_policy(known.get("sp", "")),
        missing_names=_policy(known.get("np", "")),
        reports=_mail_addresses(known.get("rua", "")),
        strict_spf=known.get("aspf", "").lower() == "s",
        strict_dkim=known.get("adkim", "").lower() == "s",
        is_test=known.get("t", "").lower() == "y",
        psd=known.get("psd", "u").lower(),
        removed=tuple(name for name in ("pct", "rf", "ri") if name in known),
    )


def _policy(value: str) -> Policy | None:
    value = value.lower()
    return next((one for one in Policy if one == value), None)


def _mail_addresses(value: str) -> tuple[str, ...]:
    parts = [part.strip() for part in value.split(",")]
    found = [one[7:].partition("!")[0] for one in parts if one.lower().startswith("mailto:")]
    return tuple(one for one in found if "@" in one)


def names_to_ask(domain: str) -> list[str]:
    """The domains of the walk, from the given one upwards, at most eight."""
    labels = domain.split(".")
    rest = labels[-7:] if len(labels) > MOST_QUERIES else labels[1:]
    above = [".".join(rest[start:]) for start in range(len(rest))]
    return [domain, *above][:MOST_QUERIES]


def find(sheet: Sheet, domain: str) -> Found:
    """Walk up from a domain: its organisation's domain, and the record that applies to it."""
    found = Found(domain, domain)
    records: dict[str, Record] = {}
    for name in names_to_ask(domain):
        record = _record_at(sheet, name, found)
        if record is not None:
            records[name] = record
            if record.psd in ("y", "n"):
                break
    found.organisation = _organisation(domain, records)
    found.at = next((one for one in (domain, found.organisation, *records) if one in records), "")
    if found.at:
        found.record = records[found.at]
        there = sheet.look(domain, "TXT").kind is not Kind.NO_NAME
        found.policy = found.record.applied(below=found.is_above, there=there)
    return found


def _record_at(sheet: Sheet, name: str, found: Found) -> Record | None:
    answer = sheet.look(f"_dmarc.{name}", "TXT")
    if not answer.is_certain:
        found.unread.append(name)
    texts = [text for text in answer.values if is_dmarc(text)]
    found.broken += [(name, text) for text in answer.values if is_meant_as_dmarc(text)]
    if len(texts) > 1:
        found.several.append(name)
    if len(texts) != 1:
        return None
    record = parse(texts[0])
    if not record.is_usable:
        found.broken.append((name, texts[0]))
        return None
    return record


def _organisation(domain: str, records: dict[str, Record]) -> str:
    """The organisational domain (RFC 9989, 4.10.2): records stand from the domain upwards."""
    for name, record in records.items():
        if record.psd == "n":
            return name
        if record.psd == "y" and name != domain:
            labels = domain.split(".")
            return ".".join(labels[-(name.count(".") + 2) :])
    return list(records)[-1] if records else domain


def is_aligned(sheet: Sheet, author: Found, other: str) -> bool:
    """Whether another domain counts as the author's, relaxed: both of one organisation."""
    if other == author.domain:
        return True
    return bool(other) and find(sheet, other).organisation == author.organisation
