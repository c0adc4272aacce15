"""Findings: what is wrong with a domain's records, in the words of an office, and the record that
puts it right. Pure.
"""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from portal.published import dkim, dmarc, spf
from portal.published.names import shown
from portal.published.ways import Way


class Severity(StrEnum):
    """How much it matters: mail fails, mail is at risk, good to know."""

    BAD = "bad"
    WARN = "warn"
    INFO = "info"


@dataclass(frozen=True)
class Needed:
    """A record to put into the DNS. was: what it takes the place of; empty where it is added.

    value empty: the provider alone knows it, and `where` says on which of its pages it stands.
    """

    name: str
    type: str
    value: str
    was: tuple[str, ...] = ()
    where: str = ""


@dataclass(frozen=True)
class Finding:
    """One thing to know. about: spf, dkim, dmarc or domain; way: whom it concerns, by Way.key."""

    code: str
    about: str
    severity: Severity
    message: str
    hint: str = ""
    record: Needed | None = None
    way: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


WHERE_DNS = "Add it where the domain’s DNS is looked after: often where the domain was bought."
AGAIN = "Nothing is known to be wrong. It is asked again by itself."


def _spf(code: str, severity: Severity, message: str, hint: str = "", **more: Any) -> Finding:
    return Finding(code, "spf", severity, message, hint, **more)


# -- SPF -----------------------------------------------------------------------------------------


def no_spf(domain: str) -> Finding:
    return _spf(
        "spf_none",
        Severity.BAD,
        f"{shown(domain)} does not say which servers may send for it: there is no SPF record.",
        WHERE_DNS,
    )


def spf_meant(text: str) -> Finding:
    return _spf(
        "spf_meant",
        Severity.BAD,
        f"A record looks like SPF but begins wrongly, so nobody reads it: {_short(text)}",
        "It has to begin with v=spf1 and a space.",
    )


def several_spf(texts: list[str]) -> Finding:
    return _spf(
        "spf_several",
        Severity.BAD,
        f"There are {len(texts)} SPF records. There may be only one; with more, none counts.",
        "Delete them all and add this one, which allows what they allowed together.",
    )


def spf_lacks(domain: str, way: Way) -> Finding:
    return _spf(
        "spf_lacks",
        Severity.BAD,
        f"The SPF record does not allow {way.label} to send for {shown(domain)}.",
        "Change the record that is there; do not add a second one.",
        way=way.key,
    )


def too_many_lookups(found: spf.Survey) -> Finding:
    counted = f"at least {found.lookups}" if found.lookups > spf.ENOUGH else str(found.lookups)
    dear = sorted(found.costs, key=lambda one: -one[1])[:3]
    most = ", ".join(f"{text} ({cost})" for text, cost in dear)
    return _spf(
        "spf_lookups",
        Severity.BAD,
        f"The SPF record makes receivers look up {counted} names. After ten they give up.",
        f"Take out services that no longer send for you. Most look-ups go to: {most}.",
    )


def too_many_voids(found: spf.Survey) -> Finding:
    return _spf(
        "spf_voids",
        Severity.BAD,
        f"{len(found.voids)} parts of the SPF record lead to names where nothing is. "
        "After two of these receivers give up.",
        f"Take these out: {_list(found.voids)}.",
    )


def spf_loop(words: list[str]) -> Finding:
    return _spf(
        "spf_loop",
        Severity.BAD,
        "The SPF record leads back to itself, so receivers give up.",
        f"Take this out: {_list(words)}.",
    )


def spf_broken(domain: str, found: list[tuple[str, str]]) -> Finding:
    own = [word for at, word in found if at == domain]
    if own:
        hint = "Correct or delete these words. Often a space or a colon is in the wrong place."
        message = f"Part of the SPF record cannot be read, so none of it counts: {_list(own)}"
    else:
        at = ", ".join(sorted({name for name, _ in found}))
        message = f"The SPF record includes that of {at}, which cannot be read: none of it counts."
        hint = f"Ask whoever runs {at}, or take it out if it no longer sends for you."
    return _spf("spf_broken", Severity.BAD, message, hint)


def spf_not_plain() -> Finding:
    return _spf(
        "spf_not_plain",
        Severity.BAD,
        "The SPF record has a character that may not be in it, often pasted from a text program.",
        "Type the record anew with plain letters, without typographic dashes or quotation marks.",
    )


def spf_missing(words: list[str]) -> Finding:
    return _spf(
        "spf_missing",
        Severity.BAD,
        f"The SPF record points to records that do not exist: {_list(words)}. Receivers give up.",
        "Correct the name, or take it out if that service no longer sends for you.",
    )


def spf_several_there(names: list[str]) -> Finding:
    return _spf(
        "spf_several_there",
        Severity.BAD,
        f"The SPF record includes that of {_list(names)}, which has more than one record.",
        "Ask that service, or take it out if it no longer sends for you.",
    )


def spf_crowded(words: list[str]) -> Finding:
    return _spf(
        "spf_crowded",
        Severity.BAD,
        f"The SPF record names more than ten mail servers at once: {_list(words)}.",
        "Name the servers that send by their addresses (ip4:…) instead.",
    )


def spf_ends_open(qualifier: str) -> Finding:
    if qualifier == "+":
        message = "The SPF record allows the whole world to send in your name (+all)."
        return _spf("spf_all_pass", Severity.BAD, message, "Let it end with ~all.")
    if qualifier == "?":
        message = "The SPF record says nothing about servers that it does not name (?all)."
        return _spf("spf_all_neutral", Severity.WARN, message, "Let it end with ~all.")
    message = "The SPF record does not say what holds for servers that it does not name."
    return _spf("spf_no_all", Severity.WARN, message, "Let it end with ~all.")


def spf_after_all(record: spf.Record) -> Finding:
    words = [one.text for one in record.after_all]
    return _spf(
        "spf_after_all",
        Severity.WARN,
        f"Receivers stop reading at “all”, so what stands behind it does not count: {_list(words)}",
        "Move “all” to the end of the record.",
    )


def spf_pointer() -> Finding:
    return _spf(
        "spf_ptr",
        Severity.WARN,
        "The SPF record uses “ptr”, which is slow and which many receivers no longer follow.",
        "Name the servers that send by their addresses (ip4:…) instead.",
    )


def spf_macro(words: list[str]) -> Finding:
    return _spf(
        "spf_macro",
        Severity.INFO,
        f"Part of the SPF record is filled in by each receiver ({_list(words)}), "
        "so it cannot be judged from here.",
        "A test mail to an outside mailbox shows it.",
    )


def spf_unread(names: list[str]) -> Finding:
    return _spf(
        "spf_unread",
        Severity.INFO,
        f"No answer about {_list(names)}, so the SPF record could not be judged to its end.",
        AGAIN,
    )


# -- DKIM ----------------------------------------------------------------------------------------


def dkim_fault(key: dkim.Key, domain: str, way: Way) -> Finding:
    """What is wrong with a selector, or with the way's selectors altogether."""
    name = dkim.name_of(key.selector, domain)
    severity, message, hint = _dkim_words(key, name, way)
    fixable = key.fault in dkim.FATAL
    where = way.key_help or f"the settings of {way.label}"
    record = Needed(name, "CNAME" if way.by_cname else "TXT", "", where=where)
    told = Finding(f"dkim_{key.fault}", "dkim", severity, message, hint)
    return Finding(**{**vars(told), "record": record if fixable else None, "way": way.key})


def _dkim_words(key: dkim.Key, name: str, way: Way) -> tuple[Severity, str, str]:
    make = f"{way.label} shows the value."
    fault = dkim.Fault
    return {
        fault.MISSING: (
            Severity.WARN,
            f"No key is published at {name}, so mail through {way.label} "
            f"does not bear a signature of your domain.",
            f"{make} Once the record is there, switch signing on in the same place.",
        ),
        fault.DANGLING: (
            Severity.WARN,
            f"{name} leads to {_list(list(key.through[-1:]))}, where there is no key.",
            f"Switch signing on at {way.label}; then the key is there by itself.",
        ),
        fault.SEVERAL: (
            Severity.WARN,
            f"There is more than one key at {name}, so receivers cannot tell which is meant.",
            f"Delete all but the newest. {make}",
        ),
        fault.BROKEN: (
            Severity.WARN,
            f"The key at {name} cannot be read. Often a part of it was cut off when pasting.",
            f"Delete it and paste it again as a whole. {make}",
        ),
        fault.REVOKED: (
            Severity.WARN,
            f"The key at {name} was withdrawn (its p= is empty): signatures with it count as none.",
            make,
        ),
        fault.WEAK: (
            Severity.WARN,
            f"The key at {name} has {key.bits} bits. Receivers ignore keys under 1024 bits.",
            f"Have a new one made, with 2048 bits. {make}",
        ),
        fault.SHORT: (
            Severity.INFO,
            f"The key at {name} has {key.bits} bits. It works; 2048 bits are advised.",
            "Change it when it suits you.",
        ),
        fault.TESTING: (
            Severity.WARN,
            f"The key at {name} is marked as a test (t=y): "
            "receivers may treat mail as if it bore none.",
            "Take “t=y” out of the record once mail arrives well.",
        ),
        fault.UNREAD: (Severity.INFO, f"No answer about the key at {name}.", AGAIN),
    }[key.fault]


def dkim_unknown(way: Way) -> Finding:
    return Finding(
        "dkim_unknown",
        "dkim",
        Severity.INFO,
        f"Where {way.label} publishes its key is not known, so it could not be looked up.",
        f"Ask {way.label} for the DKIM selector, and write it below.",
        way=way.key,
    )


# -- DMARC ---------------------------------------------------------------------------------------


def _dmarc(code: str, severity: Severity, message: str, hint: str = "", **more: Any) -> Finding:
    return Finding(f"dmarc_{code}", "dmarc", severity, message, hint, **more)


FIRST_DMARC = "v=DMARC1; p=none"


def no_dmarc(domain: str) -> Finding:
    return _dmarc(
        "none",
        Severity.WARN,
        f"{shown(domain)} does not say what is to happen with mail that others fake in its name "
        "(no DMARC record). Gmail and Outlook ask for one from who sends much.",
        f"{WHERE_DNS} This one changes nothing yet for your own mail.",
        record=Needed(f"_dmarc.{domain}", "TXT", FIRST_DMARC),
    )


def several_dmarc(name: str, texts: list[str]) -> Finding:
    kept = next((text for text in texts if dmarc.parse(text).policy), FIRST_DMARC)
    return _dmarc(
        "several",
        Severity.BAD,
        f"There are {len(texts)} DMARC records at _dmarc.{name}. With more than one, none counts.",
        "Delete all but one of them.",
        record=Needed(f"_dmarc.{name}", "TXT", kept, tuple(texts)),
    )


def broken_dmarc(name: str, text: str) -> Finding:
    return _dmarc(
        "broken",
        Severity.BAD,
        f"The DMARC record at _dmarc.{name} cannot be read, so it does not count: {_short(text)}",
        "It begins with v=DMARC1, written just so, and needs p=none, p=quarantine or p=reject.",
        record=Needed(f"_dmarc.{name}", "TXT", FIRST_DMARC, (text,)),
    )


def dmarc_unread(names: list[str]) -> Finding:
    said = _list([f"_dmarc.{name}" for name in names])
    return _dmarc("unread", Severity.INFO, f"No answer about {said}.", AGAIN)


def dmarc_watches(found: dmarc.Found) -> Finding:
    """p=none: it asks for nothing."""
    return _dmarc(
        "watches",
        Severity.INFO,
        "The DMARC record only watches (p=none): mail faked in your name still arrives.",
        "Once all your own mail passes, change it to p=quarantine and later to p=reject.",
    )


def dmarc_tests() -> Finding:
    return _dmarc(
        "tests",
        Severity.INFO,
        "The DMARC record is marked as a test (t=y): receivers apply the next milder policy.",
        "Take “t=y” out once all your own mail passes.",
    )


def dmarc_removed(words: tuple[str, ...]) -> Finding:
    said = _list([f"{one}=" for one in words])
    return _dmarc(
        "removed",
        Severity.INFO,
        f"The DMARC record has {said}, which no longer means anything (RFC 9989).",
        "Take it out when you next change the record.",
    )


def dmarc_without_reports(domain: str) -> Finding:
    return _dmarc(
        "without_reports",
        Severity.INFO,
        "Nobody gets the reports in which receivers say whose mail passed (no rua=).",
        f"If you want them, add an address: rua=mailto:dmarc@{domain}",
    )


def dmarc_subdomains(found: dmarc.Found) -> Finding:
    policy = found.record.subdomains if found.record else None
    return _dmarc(
        "subdomains",
        Severity.WARN,
        f"For addresses below {shown(found.at)} the DMARC record asks for less (sp={policy}).",
        "Take “sp=” out, so that the same holds for all of them.",
    )


# -- the domain ----------------------------------------------------------------------------------


def no_such_domain(domain: str) -> Finding:
    return Finding(
        "domain_missing",
        "domain",
        Severity.BAD,
        f"There is no domain {shown(domain)} in the DNS. Nearly everybody refuses mail from it.",
        "Look for a slip in its spelling. If it is right, it may have run out: renew it.",
    )


def no_answer(domain: str, *, silent: bool) -> Finding:
    why = "did not answer in time" if silent else "answered with an error"
    return Finding(
        "domain_silent",
        "domain",
        Severity.INFO,
        f"The name servers of {shown(domain)} {why}, so nothing can be said about its records.",
        f"{AGAIN} If it stays so, ask whoever looks after the domain.",
    )


def consumer_elsewhere(domain: str, way: Way) -> Finding:
    return Finding(
        "consumer_elsewhere",
        "domain",
        Severity.BAD,
        f"{shown(domain)} belongs to another provider than {way.label}. Mail from such an address "
        f"through {way.label} fails the check for forged senders, and you cannot change that.",
        "Connect that mailbox itself, or send from an address of your own domain.",
        way=way.key,
    )


def envelope_elsewhere(domain: str, way: Way) -> Finding:
    return Finding(
        "envelope_elsewhere",
        "spf",
        Severity.INFO,
        f"{way.label} puts {shown(way.envelope)} on the envelope, which is not "
        f"{shown(domain)}. So SPF does not help this address: its DKIM signature decides.",
        "A test mail to an outside mailbox shows it.",
        way=way.key,
    )


def _list(words: list[str]) -> str:
    once = list(dict.fromkeys(words))
    return ", ".join(once[:4]) + (f" and {len(once) - 4} more" if len(once) > 4 else "")


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:79]}…"
