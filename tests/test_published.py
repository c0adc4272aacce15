"""What a domain publishes is judged as receivers do: read whole, counted, and never guessed at."""

import base64
import contextlib
import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portal.published import answers, dkim, dmarc, findings, judging, names, results, spf
from portal.published.answers import Answer, Kind, Question
from portal.published.judging import Report, Tone
from portal.published.names import BadDomain
from portal.published.spf import Result
from portal.published.ways import GMAIL, MICROSOFT, Way, way_of

OURS = "brightspark.example"
GMAIL_WAY = way_of("gmail", OURS)
OWN_SERVER = way_of("smtp", OURS, "mail.brightspark.example")

Zone = dict[str, list[str] | Kind]


def rsa_key(bits: int, *, bare: bool = False) -> str:
    """A key of so many bits as a DKIM record bears it; whether it is a real one nobody asks."""

    def element(tag: int, inside: bytes) -> bytes:
        length = len(inside)
        size = bytes([length]) if length < 128 else b"\x82" + length.to_bytes(2, "big")
        return bytes([tag]) + size + inside

    modulus = element(2, b"\x00" + (1 << (bits - 1)).to_bytes((bits + 7) // 8, "big"))
    public = element(0x30, modulus + element(2, b"\x01\x00\x01"))
    if not bare:
        algorithm = element(0x30, bytes.fromhex("06092a864886f70d0101010500"))
        public = element(0x30, algorithm + element(3, b"\x00" + public))
    return base64.b64encode(public).decode()


GOOD: Zone = {
    f"{OURS} TXT": ["v=spf1 include:_spf.google.com ~all"],
    f"{OURS} MX": ["smtp.google.com"],
    f"{OURS} A": ["192.0.2.7"],
    f"{OURS} AAAA": Kind.NOTHING,
    f"google._domainkey.{OURS} TXT": [f"v=DKIM1; k=rsa; p={rsa_key(2048)}"],
    f"_dmarc.{OURS} TXT": ["v=DMARC1; p=quarantine; rua=mailto:olive@brightspark.example"],
    "_spf.google.com TXT": ["v=spf1 include:_netblocks.google.com ~all"],
    "_netblocks.google.com TXT": ["v=spf1 ip4:74.125.0.0/16 ip6:2607:f8b0:4000::/36 ~all"],
    "spf.protection.outlook.com TXT": ["v=spf1 ip4:40.92.0.0/15 -all"],
    "mail.brightspark.example A": ["192.0.2.25"],
    "smtp.google.com A": ["192.0.2.60"],
}


def said(zone: Zone, question: Question) -> Answer:
    found = zone.get(" ".join(question), Kind.NO_NAME)
    return Answer(found) if isinstance(found, Kind) else Answer(Kind.FOUND, tuple(found))


def judged(
    *ways: Way,
    domain: str = OURS,
    selectors: tuple[str, ...] = (),
    zone: Mapping[str, list[str] | Kind] = MappingProxyType({}),
    **changed: list[str] | Kind,
) -> Report:
    """The report on the good zone with some names changed, three of them by SPF=, DKIM=, DMARC=."""
    short = {"SPF": f"{OURS} TXT", "DKIM": f"google._domainkey.{OURS} TXT"}
    short["DMARC"] = f"_dmarc.{OURS} TXT"
    asked = {short.get(name, name): one for name, one in {**zone, **changed}.items()}
    whole = {**GOOD, **asked}
    known: dict[Question, Answer] = {}
    while True:
        report = judging.judge(domain, ways or (GMAIL_WAY,), known, selectors)
        if not report.wanted:
            return report
        known |= {one: said(whole, one) for one in report.wanted}


def codes(report: Report) -> set[str]:
    return {one.code for one in report.findings}


def needed(report: Report, kind: str) -> str:
    """The value to publish, of the finding that has one."""
    found = [one.record for one in report.findings if one.about == kind and one.record]
    assert len(found) == 1, found
    return found[0].value


# -- all in order ----------------------------------------------------------------------------------


def test_a_domain_in_good_order_passes_with_three_green_lights_and_nothing_to_do() -> None:
    report = judged()
    assert report.tone is Tone.GOOD and not report.findings
    (way,) = report.ways
    assert [(one.name, one.tone) for one in way.lights] == [
        ("SPF", Tone.GOOD),
        ("DKIM", Tone.GOOD),
        ("DMARC", Tone.GOOD),
    ]
    assert "should pass" in way.title  # published, not proved


def test_one_provider_may_pass_where_another_does_not() -> None:
    microsoft = way_of("microsoft", OURS)
    report = judged(GMAIL_WAY, microsoft)
    assert [way.tone for way in report.ways] == [Tone.GOOD, Tone.BAD]
    assert codes(report) == {"spf_lacks", "dkim_missing"}
    both = "v=spf1 include:_spf.google.com include:spf.protection.outlook.com ~all"
    assert needed(report, "spf") == both
    fixed = judged(GMAIL_WAY, microsoft, SPF=[both])
    assert [way.tone for way in fixed.ways] == [Tone.GOOD, Tone.WARN]
    cnames = [one.record.name for one in fixed.findings if one.record]
    assert cnames == [f"selector1._domainkey.{OURS}"]


def test_the_providers_networks_count_and_not_the_word_include() -> None:
    """Whoever wrote the networks themselves, or redirects, allows Gmail as well."""
    networks = "v=spf1 ip4:74.125.0.0/16 ip6:2607:f8b0:4000::/36 -all"
    for text in (networks, "v=spf1 redirect=_spf.google.com"):
        assert judged(SPF=[text]).tone is Tone.GOOD, text
    for text in ("v=spf1 -include:_spf.google.com ~all", "v=spf1 ip4:74.125.0.0/16 -all"):
        report = judged(SPF=[text])
        assert report.ways[0].lights[0].tone is Tone.BAD, text
        assert "spf_lacks" in codes(report)


def test_an_own_server_is_allowed_by_its_address() -> None:
    for text in ("v=spf1 ip4:192.0.2.25 -all", "v=spf1 a:mail.brightspark.example -all"):
        light = judged(OWN_SERVER, SPF=[text]).ways[0].lights[0]
        assert (light.tone, light.words) == (Tone.GOOD, "Allows mail.brightspark.example"), text
    report = judged(OWN_SERVER, SPF=["v=spf1 mx -all"])
    assert needed(report, "spf") == "v=spf1 mx a:mail.brightspark.example -all"
    assert {"spf_lacks", "dkim_unknown"} <= codes(report)
    told = judged(OWN_SERVER, selectors=("mail",), zone={f"mail._domainkey.{OURS} TXT": [KEY]})
    assert told.ways[0].lights[1].tone is Tone.GOOD


def test_a_server_of_an_inner_network_cannot_be_judged_and_a_bare_address_can() -> None:
    inner = judged(OWN_SERVER, zone={"mail.brightspark.example A": ["10.0.0.5"]})
    assert inner.ways[0].lights[0].tone is Tone.OPEN
    assert "spf_lacks" not in codes(inner)
    bare = judged(way_of("smtp", OURS, "192.0.2.99"))
    assert needed(bare, "spf") == "v=spf1 include:_spf.google.com ip4:192.0.2.99 ~all"


def test_plain_smtp_keeps_the_addresss_domain_on_the_envelope_and_gmail_its_own() -> None:
    assert way_of("smtp", "homes.example", "mail.x.example", author=OURS).envelope == OURS
    for provider, host in (("gmail", ""), ("microsoft", ""), ("smtp", "smtp.gmail.com")):
        assert way_of(provider, "homes.example", host, author=OURS).envelope == "homes.example"


KEY = f"v=DKIM1; p={rsa_key(2048)}"


@pytest.mark.parametrize(
    ("spf_good", "dkim_good", "policy", "tone", "sentence"),
    [
        (True, True, "reject", Tone.GOOD, "SPF and DKIM both speak for it."),
        (True, False, "reject", Tone.WARN, "By SPF alone"),
        (False, True, "reject", Tone.WARN, "By its DKIM signature alone."),
        (False, False, "none", Tone.BAD, "only watches"),
        (False, False, "quarantine", Tone.BAD, "into the spam folder"),
        (False, False, "reject", Tone.BAD, "refuse such mail: it does not arrive"),
        (False, False, "", Tone.BAD, "no reason to trust it"),
    ],
)
def test_one_of_the_two_is_enough_and_the_policy_says_what_follows_without(
    spf_good: bool, dkim_good: bool, policy: str, tone: Tone, sentence: str
) -> None:
    report = judged(
        SPF=["v=spf1 include:_spf.google.com ~all" if spf_good else "v=spf1 ~all"],
        DKIM=[KEY] if dkim_good else Kind.NO_NAME,
        DMARC=[f"v=DMARC1; p={policy}; rua=mailto:a@b.example"] if policy else Kind.NO_NAME,
    )
    assert report.tone is tone
    assert sentence in report.ways[0].text


# -- every finding ---------------------------------------------------------------------------------

LOOP = {"one.example TXT": ["v=spf1 include:two.example ~all"]}
LOOP["two.example TXT"] = ["v=spf1 include:one.example ~all"]
MANY = "v=spf1 " + " ".join(f"exists:e{n}.example" for n in range(9)) + " include:_spf.google.com"
THERE = {f"e{n}.example A": ["192.0.2.9"] for n in range(9)}
CROWD = {f"{OURS} MX": [f"mx{n}.example" for n in range(11)]}

CASES: list[tuple[str, dict[str, list[str] | Kind]]] = [
    ("spf_none", {"SPF": ["google-site-verification=abc"]}),
    ("spf_meant", {"SPF": ["v=spf 1 include:_spf.google.com ~all"]}),
    ("spf_meant", {"SPF": ['"v=spf1 include:_spf.google.com ~all"']}),
    ("spf_several", {"SPF": ["v=spf1 mx ~all", "v=spf1 include:_spf.google.com -all"]}),
    ("spf_lacks", {"SPF": ["v=spf1 mx -all"]}),
    ("spf_lookups", {"SPF": [f"{MANY} ~all"], **THERE}),
    ("spf_voids", {"SPF": ["v=spf1 a:x.example a:y.example a:z.example ~all"]}),
    ("spf_loop", {"SPF": ["v=spf1 include:one.example ~all"], **LOOP}),
    ("spf_broken", {"SPF": ["v=spf1 include: _spf.google.com ~all"]}),
    ("spf_broken", {"SPF": ["v=spf1 ipv4:192.0.2.1 ~all"]}),
    ("spf_broken", {"SPF": ["v=spf1 include:x.example ~all"], "x.example TXT": ["v=spf1 ip4:1"]}),
    ("spf_not_plain", {"SPF": ["v=spf1 include:_spf.google.com \ufffdall"]}),
    ("spf_missing", {"SPF": ["v=spf1 include:_spf.google.com include:gone.example ~all"]}),
    ("spf_missing", {"SPF": ["v=spf1 redirect=gone.example"]}),
    (
        "spf_several_there",
        {"SPF": ["v=spf1 include:x.example ~all"], "x.example TXT": ["v=spf1 -all", "v=spf1"]},
    ),
    ("spf_crowded", {"SPF": ["v=spf1 mx ~all"], **CROWD}),
    ("spf_all_pass", {"SPF": ["v=spf1 include:_spf.google.com +all"]}),
    ("spf_all_neutral", {"SPF": ["v=spf1 include:_spf.google.com ?all"]}),
    ("spf_no_all", {"SPF": ["v=spf1 include:_spf.google.com"]}),
    ("spf_after_all", {"SPF": ["v=spf1 ~all include:_spf.google.com"]}),
    ("spf_ptr", {"SPF": ["v=spf1 ptr include:_spf.google.com ~all"]}),
    ("spf_macro", {"SPF": ["v=spf1 include:%{d}.x.example include:_spf.google.com ~all"]}),
    ("spf_unread", {"_netblocks.google.com TXT": Kind.SILENT}),
    ("dkim_missing", {"DKIM": Kind.NOTHING}),
    ("dkim_several", {"DKIM": [KEY, KEY]}),
    ("dkim_broken", {"DKIM": ["v=DKIM1; p=MIIBIjANBgkq"]}),
    ("dkim_broken", {"DKIM": ["this is not a key"]}),
    ("dkim_broken", {"DKIM": [f"v=DKIM1; s=tlsrpt; p={rsa_key(2048)}"]}),
    ("dkim_revoked", {"DKIM": ["v=DKIM1; p="]}),
    ("dkim_weak", {"DKIM": [f"k=rsa; p={rsa_key(768)}"]}),
    ("dkim_short", {"DKIM": [f"k=rsa; p={rsa_key(1024)}"]}),
    ("dkim_testing", {"DKIM": [f"v=DKIM1; t=y:s; p={rsa_key(2048)}"]}),
    ("dkim_unread", {"DKIM": Kind.FAILED}),
    ("dmarc_none", {"DMARC": Kind.NO_NAME}),
    ("dmarc_several", {"DMARC": ["v=DMARC1; p=none", "v=DMARC1; p=reject"]}),
    ("dmarc_broken", {"DMARC": ["v=dmarc1; p=none"]}),
    ("dmarc_broken", {"DMARC": ["v=DMARC1; p=nothing"]}),
    ("dmarc_unread", {"DMARC": Kind.SILENT}),
    ("dmarc_watches", {"DMARC": ["v=DMARC1; p=none; rua=mailto:a@b.example"]}),
    ("dmarc_tests", {"DMARC": ["v=DMARC1; p=reject; t=y"]}),
    ("dmarc_removed", {"DMARC": ["v=DMARC1; p=reject; pct=10"]}),
    ("dmarc_without_reports", {"DMARC": ["v=DMARC1; p=reject"]}),
    ("dmarc_subdomains", {"DMARC": ["v=DMARC1; p=reject; sp=none"]}),
    ("domain_missing", {"SPF": Kind.NO_NAME}),
    ("domain_silent", {"SPF": Kind.SILENT}),
    ("domain_silent", {"SPF": Kind.FAILED}),
]


@pytest.mark.parametrize(("code", "changed"), CASES)
def test_each_thing_that_can_be_wrong_is_found_and_said_in_a_sentence(
    code: str, changed: dict[str, list[str] | Kind]
) -> None:
    report = judged(zone=changed)
    found = next((one for one in report.findings if one.code == code), None)
    assert found, codes(report)
    assert found.message.endswith((".", ")")) or ": " in found.message
    assert found.hint


#: Found in tests of their own below.
ELSEWHERE = {"dkim_dangling", "dkim_unknown", "consumer_elsewhere", "envelope_elsewhere"}


def test_every_finding_there_is_has_a_case() -> None:
    source = Path(findings.__file__).read_text()
    named = set(re.findall(r'^\s+"((?:spf|domain|consumer|envelope|dkim)_\w+)",$', source, re.M))
    named |= set(re.findall(r'_spf\("(\w+)"', source))
    named |= {f"dmarc_{code}" for code in re.findall(r'_dmarc\(\s*"(\w+)"', source)}
    named |= {f"dkim_{fault}" for fault in dkim.Fault if fault}
    assert {code for code, _ in CASES} | ELSEWHERE == named


def test_no_answer_is_never_taken_for_no_record() -> None:
    """A name server that is down must not make anybody change a good record."""
    for changed in (
        {"SPF": Kind.SILENT, "DKIM": Kind.SILENT, "DMARC": Kind.SILENT},
        {"SPF": Kind.FAILED, "DKIM": Kind.FAILED, "DMARC": Kind.FAILED},
    ):
        report = judged(zone=changed)
        assert report.tone is Tone.OPEN
        assert not [one for one in report.findings if one.record or one.severity == "bad"]
    report = judged(zone={"_netblocks.google.com TXT": Kind.SILENT}, DKIM=Kind.SILENT)
    assert report.tone is Tone.OPEN and not [one for one in report.findings if one.record]


# -- the record to publish -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("published", "record"),
    [
        (["txt"], "v=spf1 include:_spf.google.com ~all"),
        (["v=spf1 mx -all"], "v=spf1 mx include:_spf.google.com -all"),
        (["v=spf1 mx ~all", "v=spf1 a -all"], "v=spf1 mx a include:_spf.google.com ~all"),
        (["v=spf1 inlcude:_spf.google.com ~all"], "v=spf1 include:_spf.google.com ~all"),
        (["v=spf1 include:gone.example mx"], "v=spf1 mx include:_spf.google.com ~all"),
        (["v=spf1 mx +all"], "v=spf1 mx include:_spf.google.com ~all"),
        (["v=spf1 redirect=_spf.x.example"], "v=spf1 include:_spf.google.com ~all"),
        (["v=spf1 -all include:_spf.google.com"], "v=spf1 include:_spf.google.com -all"),
    ],
)
def test_the_record_to_publish_keeps_what_works_and_mends_the_rest(
    published: list[str], record: str
) -> None:
    report = judged(SPF=published)
    assert needed(report, "spf") == record
    assert judged(SPF=[record]).ways[0].lights[0].tone is Tone.GOOD


def test_where_too_much_is_included_no_record_is_made_up() -> None:
    """Which service to leave out only a person can tell; the dearest are named."""
    report = judged(SPF=[f"{MANY} ~all"], zone=THERE)
    found = next(one for one in report.findings if one.code == "spf_lookups")
    assert "11 names" in found.message and "include:_spf.google.com (2)" in found.hint
    assert not [one for one in report.findings if one.about == "spf" and one.record]


# -- SPF as RFC 7208 has it ------------------------------------------------------------------------


def evaluated(text: str, address: str = "192.0.2.7", **more: list[str] | Kind) -> Result:
    zone = {**GOOD, f"{OURS} TXT": [text], **more}
    known: dict[Question, Answer] = {}
    while True:
        sheet = answers.Sheet(known)
        result = spf.evaluate(sheet, OURS, ipaddress.ip_address(address))
        if not sheet.wanted:
            return result
        known |= {one: said(zone, one) for one in sheet.wanted}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("v=spf1 a -all", Result.PASS),
        ("v=spf1 a/24 -all", Result.PASS),
        ("v=spf1 a:mail.brightspark.example/24 -all", Result.PASS),
        ("v=spf1 mx -all", Result.FAIL),
        ("v=spf1 mx//64 mx/28 ~all", Result.SOFTFAIL),
        ("v=spf1 ip4:192.0.2.0/24", Result.PASS),
        ("v=spf1 ip4:198.51.100.0/24", Result.NEUTRAL),
        ("v=spf1 ?all", Result.NEUTRAL),
        ("v=spf1 -a +all", Result.FAIL),
        ("V=SPF1 A -ALL", Result.PASS),
        ("v=spf1 exists:mail.brightspark.example -all", Result.PASS),
        ("v=spf1 exists:none.example -all", Result.FAIL),
        ("v=spf1 exists:%{i}.x.example -all", Result.UNSURE),
        ("v=spf1 exists:%{i}.x.example ip4:192.0.2.7 -all", Result.PASS),
        ("v=spf1 -exists:%{i}.x.example ip4:192.0.2.7 -all", Result.UNSURE),
        ("v=spf1 redirect=%{d}.x.example", Result.UNSURE),
        ("v=spf1 include:none.example -all", Result.PERMERROR),
        ("v=spf1 redirect=none.example", Result.PERMERROR),
        ("v=spf1 redirect=_spf.google.com", Result.SOFTFAIL),
        ("v=spf1 all redirect=none.example", Result.PASS),
        ("v=spf1 foo:bar -all", Result.PERMERROR),
        ("v=spf1 -all:x", Result.PERMERROR),
        ("v=spf1 redirect=a.example redirect=b.example", Result.PERMERROR),
        ("v=spf1 unknown=x a -all", Result.PASS),
        ("v=spf1 ptr a -all", Result.PASS),
        ("v=spf1 a:x.example a:y.example a:z.example a -all", Result.PERMERROR),
        ("v=spf1 include:brightspark.example -all", Result.PERMERROR),
        ("v=spf10 -all", Result.NONE),
        ("v=spf1", Result.NEUTRAL),
    ],
)
def test_one_address_is_evaluated_as_a_receiver_does(text: str, result: Result) -> None:
    assert evaluated(text) is result


def test_the_eleventh_lookup_ends_it_wherever_it_stands() -> None:
    ten = " ".join(f"exists:n{n}.%{{d}}.example" for n in range(10))
    assert evaluated(f"v=spf1 {ten} ip4:192.0.2.7 -all") is Result.PASS
    assert evaluated(f"v=spf1 {ten} a -all") is Result.PERMERROR
    assert evaluated(f"v=spf1 a {ten} a -all") is Result.PASS


def test_the_survey_counts_what_a_receiver_that_reads_all_would_ask() -> None:
    text = "v=spf1 include:_spf.google.com a mx ptr exists:e1.example redirect=x.example"
    zone = {**THERE, "x.example TXT": ["v=spf1 mx:brightspark.example"]}
    survey = judged(SPF=[text], zone=zone)
    assert survey.survey and survey.survey.lookups == 8
    assert survey.survey.costs[0] == ("include:_spf.google.com", 2)


# -- DKIM, DMARC -----------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [512, 1024, 2048, 4096])
def test_the_length_of_a_key_is_read_from_it(bits: int) -> None:
    for bare in (False, True):
        assert dkim.rsa_bits(base64.b64decode(rsa_key(bits, bare=bare))) == bits


def test_a_key_of_ed25519_is_one_by_its_length() -> None:
    good = base64.b64encode(b"k" * 32).decode()
    read = dkim.read("s1", Answer(Kind.FOUND, (f"v=DKIM1; k=ed25519; p={good}",)))
    assert (read.fault, read.bits) == (dkim.Fault.NONE, 256)
    read = dkim.read("s1", Answer(Kind.FOUND, ("v=DKIM1; k=ed25519; p=AAAA",)))
    assert read.fault is dkim.Fault.BROKEN


def test_a_forwarding_that_ends_nowhere_is_told_apart_from_none() -> None:
    """With Microsoft 365 the two CNAMEs stand before signing is switched on."""
    there = Answer(Kind.NO_NAME, through=("selector1-x._domainkey.y.onmicrosoft.example",))
    read = dkim.read("selector1", there)
    assert read.fault is dkim.Fault.DANGLING
    told = findings.dkim_fault(read, OURS, MICROSOFT)
    assert told.code == "dkim_dangling" and "onmicrosoft.example" in told.message
    assert told.record and told.record.type == "CNAME"


def walked(domain: str, zone: Zone) -> tuple[dmarc.Found, list[str]]:
    known: dict[Question, Answer] = {}
    while True:
        sheet = answers.Sheet(known)
        found = dmarc.find(sheet, domain)
        if not sheet.wanted:
            asked = [name for name, _ in known if name.startswith("_dmarc.")]
            return found, asked
        known |= {one: said(zone, one) for one in sheet.wanted}


def test_the_walk_asks_eight_names_at_most_however_long_the_domain() -> None:
    deep = "a.b.c.d.e.f.g.h.i.j.mail.example.com"
    _, asked = walked(deep, {})
    assert len(asked) == 8
    expected = ["g.h.i.j.mail.example.com", "h.i.j.mail.example.com", "i.j.mail.example.com"]
    expected += ["j.mail.example.com", "mail.example.com", "example.com", "com"]
    assert dmarc.names_to_ask(deep) == [deep, *expected]
    assert dmarc.names_to_ask("example.com") == ["example.com", "com"]


@pytest.mark.parametrize(
    ("zone", "at", "organisation", "policy"),
    [
        ({}, "", "jobs.north.spark.example", None),
        ({"_dmarc.spark.example TXT": ["v=DMARC1; p=reject"]}, "spark.example", "", "reject"),
        (
            {"_dmarc.spark.example TXT": ["v=DMARC1; p=reject; sp=none; np=quarantine"]},
            "spark.example",
            "",
            "quarantine",
        ),
        (
            {
                "_dmarc.spark.example TXT": ["v=DMARC1; p=reject; sp=none; np=quarantine"],
                "jobs.north.spark.example TXT": Kind.NOTHING,
            },
            "spark.example",
            "",
            "none",
        ),
        (
            {
                "_dmarc.spark.example TXT": ["v=DMARC1; p=reject"],
                "_dmarc.jobs.north.spark.example TXT": ["v=DMARC1; p=none"],
            },
            "jobs.north.spark.example",
            "spark.example",
            "none",
        ),
        (
            {
                "_dmarc.spark.example TXT": ["v=DMARC1; p=reject"],
                "_dmarc.north.spark.example TXT": ["v=DMARC1; p=quarantine; psd=n"],
            },
            "north.spark.example",
            "",
            "quarantine",
        ),
        (
            {"_dmarc.spark.example TXT": ["v=DMARC1; p=reject; psd=y"]},
            "spark.example",
            "north.spark.example",
            "reject",
        ),
        (
            {"_dmarc.spark.example TXT": ["v=DMARC1; p=reject; t=y"]},
            "spark.example",
            "",
            "quarantine",
        ),
        ({"_dmarc.spark.example TXT": ["v=DMARC1; p=none", "v=DMARC1; p=reject"]}, "", "", None),
        (
            {"_dmarc.spark.example TXT": ["v=DMARC1; p=oops; rua=mailto:a@b.example"]},
            "spark.example",
            "",
            "none",
        ),
    ],
)
def test_the_policy_that_applies_is_found_by_walking_up(
    zone: Zone, at: str, organisation: str, policy: str | None
) -> None:
    found, _ = walked("jobs.north.spark.example", zone)
    assert (found.at, found.policy) == (at, policy)
    assert found.organisation == (organisation or at or "jobs.north.spark.example")


def test_mail_counts_as_aligned_within_one_organisation_unless_the_record_is_strict() -> None:
    above: Zone = {"jobs.brightspark.example TXT": Kind.NOTHING}
    way = way_of("gmail", OURS)
    report = judged(way, domain="jobs.brightspark.example", zone=above)
    assert report.ways[0].lights[0].tone is Tone.GOOD
    strict = ["v=DMARC1; p=reject; aspf=s; rua=mailto:a@b.example"]
    report = judged(way, domain="jobs.brightspark.example", DMARC=strict, zone=above)
    assert "envelope_elsewhere" in codes(report)
    assert report.ways[0].lights[0].tone is Tone.OPEN


# -- addresses of other domains --------------------------------------------------------------------


def test_an_address_of_another_domain_than_the_mailboxs_cannot_be_judged_by_spf() -> None:
    report = judged(way_of("gmail", "homes.example"), DKIM=Kind.NO_NAME)
    assert report.tone is Tone.OPEN
    assert "envelope_elsewhere" in codes(report) and "spf_lacks" not in codes(report)
    assert "Only a test mail" in report.ways[0].text
    assert judged(way_of("gmail", "homes.example")).ways[0].tone is Tone.WARN  # DKIM decides


def test_an_address_at_gmail_passes_through_gmail_and_through_nobody_else() -> None:
    own = judged(way_of("gmail", "gmail.com"), domain="gmail.com")
    assert own.tone is Tone.GOOD and own.owner == "google" and not own.findings
    report = judged(way_of("microsoft", OURS), domain="gmail.com")
    assert report.tone is Tone.BAD and codes(report) == {"consumer_elsewhere"}
    assert "own domain" in report.findings[0].hint


def test_a_known_host_is_judged_as_its_provider() -> None:
    assert way_of("smtp", OURS, "smtp.gmail.com").include == GMAIL.include
    assert way_of("smtp", OURS, "SMTP.Office365.com.").selectors == MICROSOFT.selectors
    assert way_of("smtp", OURS, "smtp.fastmail.com").label == "Fastmail"
    assert way_of("smtp", OURS, "mail.notfastmail.com").hosts == ("mail.notfastmail.com",)
    unknown = judged(way_of("smtp", OURS)).ways[0]
    assert unknown.lights[0].tone is Tone.OPEN


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("BrightSpark.Example.", "brightspark.example"),
        (" brightspark.com.au ", "brightspark.com.au"),
        ("müller-sanitär.de", "xn--mller-sanitr-qcb93a.de"),
        ("straße.example", "xn--strae-oqa.example"),
    ],
)
def test_a_domain_is_asked_for_as_the_dns_has_it(written: str, name: str) -> None:
    assert names.to_ascii(written) == name
    assert names.to_ascii(names.shown(name)) == name


@pytest.mark.parametrize("written", ["", ".", "localhost", "a..b", "-a.example", "x" * 300, "1.2"])
def test_what_is_no_domain_is_said_so(written: str) -> None:
    with pytest.raises(BadDomain, match="whole domain"):
        names.to_ascii(written)


# -- Authentication-Results ------------------------------------------------------------------------

GOOGLES = (
    "mx.google.com;\r\n       dkim=pass header.i=@brightspark.example header.s=google"
    " header.b=AbC12/;\r\n       spf=pass (google.com: domain of office@brightspark.example"
    " designates 209.85.220.41 as permitted sender) smtp.mailfrom=office@brightspark.example;\r\n"
    "       dmarc=pass (p=QUARANTINE sp=QUARANTINE dis=NONE) header.from=brightspark.example"
)


def test_what_the_receiver_found_is_read_from_its_own_header() -> None:
    found = results.read_authentication_results(
        [("Received", "x"), ("Authentication-Results", GOOGLES)], "mx.google.com"
    )
    assert found.proves
    assert {one: found.of(one) for one in ("spf", "dkim", "dmarc", "arc")} == {
        "spf": "pass",
        "dkim": "pass",
        "dmarc": "pass",
        "arc": "",
    }
    assert found.findings[2].fact("header.from") == "brightspark.example"


def test_what_the_sender_wrote_into_the_mail_proves_nothing() -> None:
    forged = ("Authentication-Results", "mx.google.com.evil.example; dmarc=pass")
    below = ("Authentication-Results", "mx.google.com; dmarc=pass")
    real = ("authentication-results", "mx.google.com; dmarc=fail header.from=brightspark.example")
    read = results.read_authentication_results
    assert not read([forged], "mx.google.com").findings
    assert read([real, below], "mx.google.com").of("dmarc") == "fail"
    assert not read([below], "").findings


MICROSOFTS = (
    "spf=pass (sender IP is 209.85.1.1) smtp.mailfrom=brightspark.example; dkim=pass (signature"
    " was verified) header.d=brightspark.example;dmarc=bestguesspass action=none"
    " header.from=brightspark.example;compauth=pass reason=109"
)
RECEIVED = (
    "Received",
    "from x (evil.example [192.0.2.9]) by mx.isp.example (Postfix)\r\n with ESMTP",
)


@pytest.mark.parametrize(
    ("provider", "headers", "dmarc"),
    [
        ("gmail", [("Authentication-Results", GOOGLES)], "pass"),
        ("gmail", [("Authentication-Results", "mx.else.example; dmarc=pass")], ""),
        ("microsoft", [("Authentication-Results", MICROSOFTS)], "bestguesspass"),
        # Who sends it can write what Microsoft writes, but only below.
        (
            "microsoft",
            [("Authentication-Results", "dmarc=fail"), ("Authentication-Results", MICROSOFTS)],
            "fail",
        ),
        ("microsoft", [("Authentication-Results", "evil.example; dmarc=pass")], ""),
        ("smtp", [RECEIVED, ("Authentication-Results", "mx.isp.example; dmarc=pass")], "pass"),
        ("smtp", [RECEIVED, ("Authentication-Results", "evil.example; dmarc=pass")], ""),
        ("smtp", [("Authentication-Results", "mx.isp.example; dmarc=pass")], ""),
    ],
)
def test_only_the_receiving_side_itself_is_believed(
    provider: str, headers: list[tuple[str, str]], dmarc: str
) -> None:
    assert results.as_received(headers, provider).of("dmarc") == dmarc


@pytest.mark.parametrize(
    ("said", "passed", "words", "advice"),
    [
        (GOOGLES, True, "SPF pass (aligned), DKIM pass (aligned), DMARC pass", []),
        (
            "x; spf=pass smtp.mailfrom=a@bounce.mail.example; dkim=none; dmarc=fail",
            False,
            "SPF pass, but for bounce.mail.example, DKIM none, DMARC fail",
            ["SPF spoke for bounce.mail.example", "Nothing signed it (DKIM)"],
        ),
        (
            "x; spf=softfail smtp.mailfrom=brightspark.example; dkim=fail; dmarc=fail",
            False,
            "SPF softfail, DKIM fail, DMARC fail",
            ["SPF did not allow Gmail to send", "Its DKIM signature did not hold"],
        ),
        (
            "x; dkim=pass header.d=gappssmtp.example; dkim=pass header.i=@brightspark.example;"
            " spf=pass smtp.mailfrom=brightspark.example; dmarc=none",
            True,
            "SPF pass (aligned), DKIM pass (aligned), DMARC none",
            ["brightspark.example publishes no DMARC policy yet"],
        ),
        (
            "x; dkim=pass header.d=gappssmtp.example",
            False,
            "SPF not tried",
            ["SPF", "It was signed"],
        ),
        (
            "x; spf=pass smtp.mailfrom=brightspark.example; dkim=none; dmarc=pass",
            True,
            "SPF pass (aligned), DKIM none, DMARC pass",
            ["Nothing signed it (DKIM)"],
        ),
    ],
)
def test_what_a_test_mail_proves_and_what_is_still_to_do(
    said: str, passed: bool, words: str, advice: list[str]
) -> None:
    domain = "brightspark.example"
    proof = results.prove(results.parse(said), lambda _method, of: of == domain)
    assert (proof.passed, proof.words.startswith(words)) == (passed, True)
    told = results.advice(proof, domain, "Gmail")
    assert len(told) == len(advice)
    assert all(one.startswith(start) for one, start in zip(told, advice, strict=True))
    assert results.Proof.from_json(proof.as_json()) == proof


@pytest.mark.parametrize(
    ("value", "method", "result"),
    [
        ("example.com 1; none", "spf", ""),
        ('example.com/1; dkim/1=pass (good (really)) reason="a;b"', "dkim", "pass"),
        ("example.com; SPF=Fail smtp.mailfrom=x", "spf", "fail"),
        ("example.com; dkim=fail; dkim=pass header.d=b.example", "dkim", "pass"),
        ("example.com (a comment; dmarc=pass); dmarc=none", "dmarc", "none"),
    ],
)
def test_the_forms_the_standard_allows_are_read(value: str, method: str, result: str) -> None:
    assert results.parse(value).of(method) == result


# -- whatever stands there -------------------------------------------------------------------------

anything = st.text(max_size=200)
records = st.one_of(
    anything,
    st.lists(
        st.sampled_from(
            [
                *("v=spf1", "include:a.example", "a", "mx", "ptr", "-all", "redirect=b.example"),
                *("ip4:1", "exists:%{i}", "v=DMARC1;", "p=none;", "sp=;", "t=y;", "psd=y;"),
                *("p=AAAA", "k=rsa;"),
            ]
        ),
        max_size=14,
    ).map(" ".join),
)


@given(texts=st.lists(records, max_size=3), keys=st.lists(records, max_size=2), policy=records)
@settings(max_examples=150, deadline=None)
def test_whatever_is_published_is_judged_and_breaks_nothing(
    texts: list[str], keys: list[str], policy: str
) -> None:
    more: Zone = {"a.example TXT": texts or Kind.NOTHING, "b.example TXT": keys or Kind.FAILED}
    report = judged(SPF=texts, DKIM=keys, DMARC=[policy], zone=more)
    assert len(report.ways) == 1
    assert answers.from_json(answers.as_json({})) == {}


@given(text=records)
@settings(max_examples=150, deadline=None)
def test_a_mended_record_is_read_by_everybody(text: str) -> None:
    record = spf.parse(spf.with_terms([f"v=spf1 {text}"], ["include:x.example"]))
    assert not record.broken
    assert spf.parse(record.text).all_qualifier in ("~", "-")


@given(value=anything, raw=st.binary(max_size=80))
@settings(max_examples=150, deadline=None)
def test_no_header_and_no_key_breaks_the_readers(value: str, raw: bytes) -> None:
    results.parse(value)
    results.read_authentication_results([("Authentication-Results", value)], value)
    headers = [("Received", value), ("Authentication-Results", value)]
    for provider in ("gmail", "microsoft", "smtp"):
        found = results.as_received(headers, provider)
        proof = results.prove(found, lambda method, of: len(method) < len(of))
        results.advice(proof, value, value)
    assert dkim.rsa_bits(raw) >= 0
    assert all(" " <= char <= "~" or char == "\ufffd" for char in answers.clean_text(raw))
    with contextlib.suppress(BadDomain):
        assert names.is_domain(names.to_ascii(value))
