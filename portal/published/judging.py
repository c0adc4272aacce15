"""Judging: whether mail of a domain, through each of its providers, passes aligned. Pure.

What is published only suggests what receivers find; a test mail proves it (results.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from portal.published import dkim, dmarc, findings, mending, spf
from portal.published.answers import Answer, Kind, Question, Sheet
from portal.published.findings import Finding, Needed, Severity
from portal.published.names import is_within, owner_of, shown
from portal.published.spf import Result
from portal.published.ways import Way


class Tone(StrEnum):
    """A light, and a verdict: in order, at risk, not in order, not known."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    OPEN = "open"


#: The worst first, as the verdict on a domain takes it.
WORST_FIRST = (Tone.BAD, Tone.OPEN, Tone.WARN, Tone.GOOD)


@dataclass(frozen=True)
class Light:
    """One of the three: SPF, DKIM, DMARC. counts: whether it passes *and* is aligned."""

    name: str
    tone: Tone
    words: str

    @property
    def counts(self) -> bool:
        return self.tone in (Tone.GOOD, Tone.WARN)


@dataclass(frozen=True)
class WayReport:
    """What is to be expected of mail through one provider."""

    way: Way
    tone: Tone
    title: str
    text: str
    lights: tuple[Light, ...]


@dataclass
class Report:
    """All that is to say of one domain."""

    domain: str
    findings: list[Finding] = field(default_factory=list)
    ways: list[WayReport] = field(default_factory=list)
    keys: list[dkim.Key] = field(default_factory=list)
    survey: spf.Survey | None = None
    policy: dmarc.Found | None = None
    wanted: frozenset[Question] = frozenset()

    @property
    def tone(self) -> Tone:
        tones = {one.tone for one in self.ways}
        return next((one for one in WORST_FIRST if one in tones), Tone.OPEN)

    @property
    def owner(self) -> str:
        """Who looks after the records of a domain where everybody may have an address."""
        return owner_of(self.domain)


def judge(
    domain: str,
    ways: Sequence[Way],
    answers: Mapping[Question, Answer],
    selectors: Sequence[str] = (),
) -> Report:
    """Judge a domain by the answers there are.

    selectors: further places of DKIM keys that somebody wrote down. What could not be found among
    the answers stands in the report's `wanted`.
    """
    sheet = Sheet(answers)
    report = Report(domain)
    if report.owner:
        report.ways = [_consumer(report, way) for way in ways]
    else:
        _judge(sheet, report, ways, selectors)
    report.wanted = frozenset(sheet.wanted)
    return report


def _judge(sheet: Sheet, report: Report, ways: Sequence[Way], selectors: Sequence[str]) -> None:
    domain = report.domain
    found = report.survey = spf.survey(sheet, domain)
    policy = report.policy = dmarc.find(sheet, domain)
    report.keys = [_key(sheet, one, domain) for one in _selectors_of(ways, selectors)]
    if found.answer.kind is Kind.NO_NAME:
        report.findings.append(findings.no_such_domain(domain))
    elif found.answer.kind in (Kind.FAILED, Kind.SILENT):
        silent = found.answer.kind is Kind.SILENT
        report.findings.append(findings.no_answer(domain, silent=silent))
    lights = {way.key: _spf_light(sheet, report, way) for way in ways}
    _add_spf(sheet, report, ways, lights)
    report.ways = [
        _way(report, way, lights[way.key], _dkim_light(report, way, selectors), policy)
        for way in ways
    ]
    report.findings += _about_dmarc(sheet, policy, _certain(found.answer))
    once = {(one.code, one.message): one for one in reversed(report.findings)}
    report.findings = list(reversed(once.values()))


def _certain(answer: Answer) -> bool:
    return answer.is_certain and answer.kind is not Kind.NO_NAME


def _selectors_of(ways: Sequence[Way], selectors: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*(one for way in ways for one in way.selectors), *selectors]))


def _key(sheet: Sheet, selector: str, domain: str) -> dkim.Key:
    return dkim.read(selector, sheet.look(dkim.name_of(selector, domain), "TXT"))


# -- SPF -----------------------------------------------------------------------------------------


def _spf_light(sheet: Sheet, report: Report, way: Way) -> Light:
    """Whether the envelope's domain lets the provider's servers send, and counts for the From."""
    author = report.policy or dmarc.Found(report.domain, report.domain)
    strict = author.record is not None and author.record.strict_spf
    envelope = way.envelope or report.domain
    if envelope != report.domain and (strict or not _one_house(sheet, author, envelope)):
        return Light("SPF", Tone.OPEN, f"Does not help: the envelope says {shown(envelope)}")
    result = _spf_result(sheet, envelope, way)
    tone, words = {
        Result.PASS: (Tone.GOOD, f"Allows {way.label}"),
        Result.TEMPERROR: (Tone.OPEN, "No answer just now"),
        Result.UNSURE: (Tone.OPEN, "Cannot be judged from here"),
        Result.PERMERROR: (Tone.BAD, "The record cannot be used"),
        Result.NONE: (Tone.BAD, "No record"),
    }.get(result, (Tone.BAD, f"Does not allow {way.label}"))
    return Light("SPF", tone, words)


def _one_house(sheet: Sheet, author: dmarc.Found, envelope: str) -> bool:
    near = is_within(envelope, author.organisation)
    return near and dmarc.is_aligned(sheet, author, envelope)


def _spf_result(sheet: Sheet, envelope: str, way: Way) -> Result:
    if way.include:
        addresses = [one[0] for one in spf.networks_of(sheet, way.include)]
    else:
        addresses = [one for host in way.hosts for one in spf.addresses_of(sheet, host)]
    if addresses:
        return spf.all_pass(sheet, envelope, addresses)
    own, theirs = sheet.look(envelope, "TXT"), sheet.look(way.include or envelope, "TXT")
    if own.is_certain and not spf.records_at(own):
        return Result.NONE
    return Result.UNSURE if own.is_certain and theirs.is_certain else Result.TEMPERROR


def _add_spf(
    sheet: Sheet, report: Report, ways: Sequence[Way], lights: Mapping[str, Light]
) -> None:
    found = report.survey
    if found is None or not _certain(found.answer):
        return
    own = [way for way in ways if (way.envelope or report.domain) == report.domain]
    mended = mending.mend(sheet, found, own, _spf_result)
    if found.record is None:
        told = _no_single_record(found, own)
    else:
        told = _about_spf(found, found.record)
        told += [findings.spf_lacks(report.domain, way) for way in mended.lacking]
    report.findings += _with_record(told, mended.record)
    report.findings += [
        findings.envelope_elsewhere(report.domain, way)
        for way in ways
        if lights[way.key].words.startswith("Does not help")
    ]


def _with_record(told: list[Finding], record: Needed | None) -> list[Finding]:
    """The findings with the record that mends them all beside the last of them that matters."""
    matters = [one for one in told if one.severity is not Severity.INFO]
    if record is None or not matters:
        return told
    return [replace(one, record=record) if one is matters[-1] else one for one in told]


def _no_single_record(found: spf.Survey, own: Sequence[Way]) -> list[Finding]:
    if found.texts:
        return [findings.several_spf(found.texts)]
    meant = [text for text in found.answer.values if spf.is_meant_as_spf(text)]
    if meant:
        return [findings.spf_meant(meant[0])]
    return [findings.no_spf(found.domain)] if own else []


def _about_spf(found: spf.Survey, record: spf.Record) -> list[Finding]:
    last = record.redirect is None and record.all_qualifier in ("", "+", "?")
    checks = (
        ("\ufffd" in record.text, findings.spf_not_plain),
        (bool(found.broken), lambda: findings.spf_broken(found.domain, found.broken)),
        (bool(found.loops), lambda: findings.spf_loop(found.loops)),
        (bool(found.missing), lambda: findings.spf_missing(found.missing)),
        (bool(found.several), lambda: findings.spf_several_there(found.several)),
        (bool(found.crowded), lambda: findings.spf_crowded(found.crowded)),
        (found.lookups > spf.MOST_LOOKUPS, lambda: findings.too_many_lookups(found)),
        (len(found.voids) > spf.MOST_VOID, lambda: findings.too_many_voids(found)),
        (last, lambda: findings.spf_ends_open(record.all_qualifier)),
        (bool(record.after_all), lambda: findings.spf_after_all(record)),
        (bool(found.pointers), findings.spf_pointer),
        (bool(found.macros), lambda: findings.spf_macro(found.macros)),
        (bool(found.unread), lambda: findings.spf_unread(found.unread)),
    )
    return [finding() for applies, finding in checks if applies]


# -- DKIM ----------------------------------------------------------------------------------------


def _dkim_light(report: Report, way: Way, selectors: Sequence[str]) -> Light:
    """Whether a key stands where the provider, or somebody who knows, says that it is."""
    names = (*way.selectors, *selectors)
    keys = [one for one in report.keys if one.selector in names]
    good = [one for one in keys if one.is_good]
    if good:
        report.findings += [_fault(one, report, way) for one in good if one.fault]
        calm = [one for one in good if one.fault is not dkim.Fault.TESTING]
        if not calm:
            return Light("DKIM", Tone.WARN, "Marked as a test")
        return Light("DKIM", Tone.GOOD, f"Key at “{calm[0].selector}”")
    if not keys:
        report.findings.append(findings.dkim_unknown(way))
        return Light("DKIM", Tone.OPEN, "Not known where its key is")
    worst = _most_telling(keys)
    report.findings.append(_fault(worst, report, way))
    if worst.fault is dkim.Fault.UNREAD:
        return Light("DKIM", Tone.OPEN, "No answer just now")
    return Light("DKIM", Tone.BAD, _DKIM_WORDS.get(worst.fault, "No key"))


_DKIM_WORDS = {
    dkim.Fault.DANGLING: "No key behind it",
    dkim.Fault.SEVERAL: "Several keys",
    dkim.Fault.BROKEN: "Key cannot be read",
    dkim.Fault.REVOKED: "Key withdrawn",
    dkim.Fault.WEAK: "Key too short",
}


def _most_telling(keys: Sequence[dkim.Key]) -> dkim.Key:
    """Of keys that are all bad: one without an answer, else one where something stands."""
    unread = [one for one in keys if one.fault is dkim.Fault.UNREAD]
    return next(iter([*unread, *(one for one in keys if dkim.exists(one)), *keys]))


def _fault(key: dkim.Key, report: Report, way: Way) -> Finding:
    return findings.dkim_fault(key, report.domain, way)


# -- DMARC, and all three together ---------------------------------------------------------------


def _way(report: Report, way: Way, of_spf: Light, of_dkim: Light, policy: dmarc.Found) -> WayReport:
    missing = report.survey is not None and report.survey.answer.kind is Kind.NO_NAME
    if missing:
        of_spf, of_dkim = (Light(one.name, Tone.BAD, "No such domain") for one in (of_spf, of_dkim))
    tone = _together(of_spf, of_dkim)
    of_dmarc = _dmarc_light(tone, policy)
    if tone is Tone.GOOD and of_dmarc.tone is Tone.WARN:
        tone = Tone.WARN
    title, text = _verdict(way, tone, of_spf, of_dkim, policy)
    return WayReport(way, tone, title, text, (of_spf, of_dkim, of_dmarc))


def _together(of_spf: Light, of_dkim: Light) -> Tone:
    """One of the two is enough to pass; both are better, as forwarding breaks SPF."""
    tones = (of_spf.tone, of_dkim.tone)
    if tones == (Tone.GOOD, Tone.GOOD):
        return Tone.GOOD
    if of_spf.counts or of_dkim.counts:
        return Tone.WARN
    return Tone.OPEN if Tone.OPEN in tones else Tone.BAD


def _dmarc_light(together: Tone, policy: dmarc.Found) -> Light:
    if policy.record is None and policy.unread:
        return Light("DMARC", Tone.OPEN, "No answer just now")
    asked = f"p={policy.policy}" if policy.policy else "no record"
    if together in (Tone.BAD, Tone.OPEN):
        words = f"Fails; {asked}" if together is Tone.BAD else f"Not known; {asked}"
        return Light("DMARC", together, words)
    if policy.record is None:
        return Light("DMARC", Tone.WARN, "No record")
    return Light("DMARC", Tone.GOOD, f"Passes; {asked}")


#: What follows when mail does not pass, by the policy.
FOLLOWS = {
    None: "It may still arrive, but receivers have no reason to trust it: often it lands in spam.",
    dmarc.Policy.NONE: "The policy only watches, so it may still arrive, but more often in spam.",
    dmarc.Policy.QUARANTINE: "Your policy asks receivers to put such mail into the spam folder.",
    dmarc.Policy.REJECT: "Your policy asks receivers to refuse such mail: it does not arrive.",
}


def _verdict(
    way: Way, tone: Tone, of_spf: Light, of_dkim: Light, policy: dmarc.Found
) -> tuple[str, str]:
    if tone is Tone.BAD:
        title = f"Mail through {way.title} does not pass"
        return title, f"Neither SPF nor DKIM speaks for it. {FOLLOWS[policy.policy]}"
    if tone is Tone.OPEN:
        return f"Mail through {way.title}: not known", _why_open(way, of_spf, of_dkim)
    title = f"Mail through {way.title} should pass"
    if of_spf.counts and of_dkim.counts:
        more = "" if policy.record or policy.unread else " A DMARC record is still to come."
        return title, f"SPF and DKIM both speak for it.{more}"
    if of_spf.counts:
        return title, "By SPF alone, which no longer holds once a customer forwards it. Add DKIM."
    return title, "By its DKIM signature alone."


def _why_open(way: Way, of_spf: Light, of_dkim: Light) -> str:
    if of_spf.words.startswith("Does not help"):
        return (
            "An address of another domain than the mailbox’s may leave through a server of its "
            "own. Only a test mail to an outside mailbox shows whether it passes."
        )
    if "No answer just now" in (of_spf.words, of_dkim.words):
        return "Not every name server answered. It is asked again by itself."
    return "What is published does not settle it. A test mail to an outside mailbox does."


def _about_dmarc(sheet: Sheet, found: dmarc.Found, known: bool) -> list[Finding]:
    told = [findings.several_dmarc(name, _dmarc_texts(sheet, name)) for name in found.several]
    told += [findings.broken_dmarc(name, text) for name, text in found.broken]
    record = found.record
    if record is None and found.unread:
        return [*told, findings.dmarc_unread(found.unread)]
    if record is None:
        return told or ([findings.no_dmarc(found.domain)] if known else [])
    checks = (
        (found.policy is dmarc.Policy.NONE and not record.is_test, findings.dmarc_watches(found)),
        (record.is_test, findings.dmarc_tests()),
        (bool(record.removed), findings.dmarc_removed(record.removed)),
        (not record.reports, findings.dmarc_without_reports(found.at)),
        (_asks_less_below(record), findings.dmarc_subdomains(found)),
    )
    return told + [finding for applies, finding in checks if applies]


def _asks_less_below(record: dmarc.Record) -> bool:
    order = list(dmarc.Policy)
    if record.policy is None or record.subdomains is None:
        return False
    return order.index(record.subdomains) < order.index(record.policy)


def _dmarc_texts(sheet: Sheet, name: str) -> list[str]:
    values = sheet.look(f"_dmarc.{name}", "TXT").values
    return [text for text in values if dmarc.is_dmarc(text)]


# -- addresses that everybody may have -----------------------------------------------------------


def _consumer(report: Report, way: Way) -> WayReport:
    """The records are the provider's own: nobody here can change them, nor need they."""
    if way.consumer == report.owner:
        lights = tuple(
            Light(name, Tone.GOOD, f"{way.label} sees to it") for name in ("SPF", "DKIM", "DMARC")
        )
        text = "The address belongs to the provider itself, which looks after its records."
        return WayReport(way, Tone.GOOD, f"Mail through {way.title} should pass", text, lights)
    report.findings.append(findings.consumer_elsewhere(report.domain, way))
    lights = (
        Light("SPF", Tone.BAD, "Not yours to change"),
        Light("DKIM", Tone.BAD, "Not yours to change"),
        Light("DMARC", Tone.BAD, "Fails"),
    )
    title = f"Mail through {way.title} does not pass"
    text = f"{shown(report.domain)} belongs to another provider. Such mail looks forged."
    return WayReport(way, Tone.BAD, title, text, lights)
