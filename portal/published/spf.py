"""SPF: which servers a domain lets send for it, read and evaluated as RFC 7208 says. Pure."""

import ipaddress
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from portal.published.answers import EMPTY, Answer, Kind, Sheet, plain_name
from portal.published.names import is_host

MOST_LOOKUPS, MOST_VOID, MOST_EXCHANGES = 10, 2, 10
#: A survey that has counted so many look-ups has seen enough.
ENOUGH = 24
#: So many of a provider's networks are tried; Google and Microsoft publish about thirty each.
MOST_NETWORKS = 80

#: Networks that nobody outside sees: a host in them leaves the house under another address.
INNER = [
    *map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8")),
    *map(ipaddress.ip_network, ("169.254.0.0/16", "100.64.0.0/10", "::1/128", "fc00::/7")),
    ipaddress.ip_network("fe80::/10"),
]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

TERM = re.compile(r"([+?~-]?)([a-z][a-z0-9_.-]*)(?:([:=/])(.*))?", re.I | re.S)
MECHANISMS = {"all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"}
#: The terms for which the DNS must be asked, so that they count.
COUNTED = {"include", "a", "mx", "ptr", "exists", "redirect"}
LENGTHS = re.compile(r"(?:/(\d{1,3}))?(?://(\d{1,3}))?")


class Result(StrEnum):
    """What an evaluation comes to; UNSURE where a macro decides, which only a receiver can fill."""

    PASS = "pass"
    FAIL = "fail"
    SOFTFAIL = "softfail"
    NEUTRAL = "neutral"
    NONE = "none"
    PERMERROR = "permerror"
    TEMPERROR = "temperror"
    UNSURE = "unsure"


BY_QUALIFIER = {
    "+": Result.PASS,
    "-": Result.FAIL,
    "~": Result.SOFTFAIL,
    "?": Result.NEUTRAL,
}


@dataclass(frozen=True)
class Term:
    """One word of a record. lengths: of an a or mx, how much of an address must be alike."""

    text: str
    qualifier: str
    name: str
    value: str = ""
    lengths: tuple[int, int] = (32, 128)
    is_modifier: bool = False

    @property
    def counts(self) -> bool:
        return self.name in COUNTED

    @property
    def has_macro(self) -> bool:
        return "%" in self.value and not (self.is_modifier and self.name != "redirect")


@dataclass(frozen=True)
class Record:
    """A record as written: its terms in order, and the words of it that nobody can read."""

    text: str
    terms: tuple[Term, ...]
    broken: tuple[str, ...]

    @property
    def mechanisms(self) -> list[Term]:
        return [one for one in self.terms if not one.is_modifier]

    @property
    def all_qualifier(self) -> str:
        """What happens to everybody else: one of + - ~ ?, or empty where it does not say."""
        return next((one.qualifier for one in self.terms if one.name == "all"), "")

    @property
    def redirect(self) -> Term | None:
        if self.all_qualifier:
            return None
        return next((one for one in self.terms if one.name == "redirect"), None)

    @property
    def after_all(self) -> list[Term]:
        """The mechanisms that nobody gets to, because they stand behind "all"."""
        names = [one.name for one in self.mechanisms]
        return self.mechanisms[names.index("all") + 1 :] if "all" in names else []


def is_spf(text: str) -> bool:
    """Whether a TXT record is one of these (RFC 7208, 4.5)."""
    return text[:6].lower() == "v=spf1" and text[6:7] in ("", " ")


def is_meant_as_spf(text: str) -> bool:
    """Whether somebody seems to have meant one, and nobody will read it as one."""
    return not is_spf(text) and bool(re.match(r"\W*(v\s*=\s*)?spf\s*1?\b", text[:24], re.I))


@lru_cache(maxsize=512)
def parse(text: str) -> Record:
    """Read a record. Never fails: what cannot be read is listed as broken."""
    terms, broken, seen = [], [], set()
    for word in text[6:].split():
        term = _term(word)
        twice = term is not None and term.is_modifier and term.name in seen
        if term is None or (twice and term.name in ("redirect", "exp")):
            broken.append(word)
            continue
        seen.add(term.name if term.is_modifier else "")
        terms.append(term)
    return Record(text, tuple(terms), tuple(broken))


def _term(word: str) -> Term | None:
    found = TERM.fullmatch(word)
    if found is None:
        return None
    qualifier, name, sign, value = found[1], found[2].lower(), found[3] or "", found[4] or ""
    if sign == "=":
        fine = not qualifier and (name not in ("redirect", "exp") or _is_target(value))
        return Term(word, "", name, plain_name(value), is_modifier=True) if fine else None
    if name not in MECHANISMS:
        return None
    return _mechanism(word, qualifier or "+", name, sign, value)


def _mechanism(word: str, qualifier: str, name: str, sign: str, value: str) -> Term | None:
    if name == "all":
        return Term(word, qualifier, name) if not sign else None
    if name in ("ip4", "ip6"):
        known = sign == ":" and _network(value, 4 if name == "ip4" else 6) is not None
        return Term(word, qualifier, name, value) if known else None
    if name in ("include", "exists"):
        fine = sign == ":" and _is_target(value)
        return Term(word, qualifier, name, plain_name(value)) if fine else None
    return _about_hosts(word, qualifier, name, sign, value)


def _about_hosts(word: str, qualifier: str, name: str, sign: str, value: str) -> Term | None:
    """a, mx and ptr: of this domain or of another one, the first two with lengths."""
    slash = f"/{value}" if sign == "/" else value[value.find("/") :] if "/" in value else ""
    target = "" if sign == "/" else value.partition("/")[0]
    lengths = LENGTHS.fullmatch(slash)
    if lengths is None or (sign == ":" and not _is_target(target)) or (name == "ptr" and slash):
        return None
    four, six = int(lengths[1] or 32), int(lengths[2] or 128)
    if four > 32 or six > 128:
        return None
    return Term(word, qualifier, name, plain_name(target), (four, six))


def _is_target(value: str) -> bool:
    value = plain_name(value)
    if "%" in value:
        return value.isascii()
    return "." in value and is_host(value)


def _network(value: str, version: int) -> Network | None:
    try:
        found = ipaddress.ip_network(value, strict=False)
    except ValueError:
        return None
    return found if found.version == version else None


def records_at(answer: Answer) -> list[str]:
    """The SPF records among the TXT records of a name."""
    return [text for text in answer.values if is_spf(text)]


# -- surveying: what the whole of it asks of a receiver -------------------------------------------


@dataclass
class Survey:
    """The record of a domain and all it leads to.

    costs: the look-ups of each of its own terms, its further ones included. unread: names that
    could not be asked. missing: terms that lead to a name without a record of its own.
    """

    domain: str
    answer: Answer
    texts: list[str] = field(default_factory=list)
    record: Record | None = None
    lookups: int = 0
    voids: list[str] = field(default_factory=list)
    costs: list[tuple[str, int]] = field(default_factory=list)
    loops: list[str] = field(default_factory=list)
    broken: list[tuple[str, str]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    several: list[str] = field(default_factory=list)
    crowded: list[str] = field(default_factory=list)
    macros: list[str] = field(default_factory=list)
    pointers: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    @property
    def is_error(self) -> bool:
        """Whether a receiver that reads all of it gives up for good (permerror)."""
        too_much = self.lookups > MOST_LOOKUPS or len(self.voids) > MOST_VOID
        faults = self.loops or self.broken or self.missing or self.several or self.crowded
        return bool(too_much or faults)


def survey(sheet: Sheet, domain: str) -> Survey:
    """Read all that a domain's record leads to, whoever sends."""
    answer = sheet.look(domain, "TXT")
    found = Survey(domain, answer, records_at(answer))
    if len(found.texts) != 1:
        return found
    found.record = parse(found.texts[0])
    _visit(sheet, found, domain, found.record, ())
    return found


def _visit(sheet: Sheet, found: Survey, domain: str, record: Record, way: tuple[str, ...]) -> None:
    found.broken += [(domain, word) for word in record.broken]
    used = [one for one in record.mechanisms if one not in record.after_all]
    for term in [*used, *([record.redirect] if record.redirect else [])]:
        before = found.lookups
        if term.counts and found.lookups <= ENOUGH:
            found.lookups += 1
            _follow(sheet, found, domain, term, (*way, domain))
        if not way and term.counts:
            found.costs.append((term.text, found.lookups - before))


def _follow(sheet: Sheet, found: Survey, domain: str, term: Term, way: tuple[str, ...]) -> None:
    target = term.value or domain
    if term.has_macro:
        found.macros.append(term.text)
    elif term.name in ("include", "redirect"):
        _enter(sheet, found, target, term, way)
    elif term.name == "ptr":
        found.pointers.append(term.text)
    elif term.name == "mx":
        _exchanges(sheet, found, target, term)
    else:
        _note_void(found, term, _addresses(sheet, target))


def _enter(sheet: Sheet, found: Survey, target: str, term: Term, way: tuple[str, ...]) -> None:
    if target in way:
        found.loops.append(term.text)
        return
    answer = sheet.look(target, "TXT")
    texts = records_at(answer)
    if not answer.is_certain:
        found.unread.append(target)
    elif not texts:
        found.missing.append(term.text)
        _note_void(found, term, answer)
    elif len(texts) > 1:
        found.several.append(target)
    else:
        _visit(sheet, found, target, parse(texts[0]), way)


def _exchanges(sheet: Sheet, found: Survey, target: str, term: Term) -> None:
    answer = sheet.look(target, "MX")
    _note_void(found, term, answer)
    if len(answer.values) > MOST_EXCHANGES:
        found.crowded.append(term.text)
    for host in answer.values[:MOST_EXCHANGES]:
        _addresses(sheet, host)


def _note_void(found: Survey, term: Term, answer: Answer) -> None:
    if answer.kind in EMPTY:
        found.voids.append(term.text)
    elif not answer.is_certain:
        found.unread.append(term.text)


def _addresses(sheet: Sheet, host: str) -> Answer:
    """Both families of a host's addresses as one answer."""
    four, six = sheet.look(host, "A"), sheet.look(host, "AAAA")
    if four.kind is Kind.FOUND or six.kind is Kind.FOUND:
        return Answer(Kind.FOUND, (*four.values, *six.values))
    return four if not four.is_certain else six


# -- evaluating: whether one address may send ------------------------------------------------------


class _Ended(Exception):
    """The evaluation ends here, for good or for now."""

    def __init__(self, result: Result) -> None:
        self.result = result


@dataclass
class _Count:
    lookups: int = 0
    voids: int = 0
    is_unsure: bool = False

    def look_up(self) -> None:
        self.lookups += 1
        if self.lookups > MOST_LOOKUPS:
            raise _Ended(Result.PERMERROR)

    def see(self, answer: Answer) -> Answer:
        if not answer.is_certain:
            raise _Ended(Result.TEMPERROR)
        self.voids += answer.kind in EMPTY
        if self.voids > MOST_VOID:
            raise _Ended(Result.PERMERROR)
        return answer


def evaluate(sheet: Sheet, domain: str, address: Address) -> Result:
    """check_host() of RFC 7208 for one address. ptr never matches: it must not be used (5.5)."""
    count = _Count()
    try:
        result = _check(sheet, domain, address, count)
    except _Ended as end:
        return end.result
    return Result.UNSURE if count.is_unsure and result is not Result.PASS else result


def _check(sheet: Sheet, domain: str, address: Address, count: _Count) -> Result:
    answer = sheet.look(domain, "TXT")
    if not answer.is_certain:
        raise _Ended(Result.TEMPERROR)
    texts = records_at(answer)
    if not texts:
        return Result.NONE
    record = parse(texts[0])
    if len(texts) > 1 or record.broken:
        raise _Ended(Result.PERMERROR)
    for term in record.mechanisms:
        if _matches(sheet, domain, term, address, count):
            return BY_QUALIFIER[term.qualifier]
    return _redirected(sheet, record, address, count)


def _redirected(sheet: Sheet, record: Record, address: Address, count: _Count) -> Result:
    if record.redirect is None:
        return Result.NEUTRAL
    count.look_up()
    if record.redirect.has_macro:
        raise _Ended(Result.UNSURE)
    result = _check(sheet, record.redirect.value, address, count)
    if result is Result.NONE:
        raise _Ended(Result.PERMERROR)
    return result


def _matches(sheet: Sheet, domain: str, term: Term, address: Address, count: _Count) -> bool:
    if term.counts:
        count.look_up()
    if term.has_macro:
        if term.qualifier != "+":
            raise _Ended(Result.UNSURE)
        count.is_unsure = True
        return False
    target = term.value or domain
    if term.name == "include":
        return _included(sheet, target, address, count)
    if term.name in ("ip4", "ip6"):
        network = _network(term.value, 4 if term.name == "ip4" else 6)
        return network is not None and _is_in(address, network)
    if term.name in ("a", "mx"):
        hosts = [target] if term.name == "a" else _hosts(sheet, target, count)
        return any(_is_host_of(sheet, host, term, address, count) for host in hosts)
    if term.name == "exists":
        return count.see(sheet.look(target, "A")).kind is Kind.FOUND
    return term.name == "all"


def _included(sheet: Sheet, target: str, address: Address, count: _Count) -> bool:
    result = _check(sheet, target, address, count)
    if result is Result.NONE:
        raise _Ended(Result.PERMERROR)
    return result is Result.PASS


def _hosts(sheet: Sheet, target: str, count: _Count) -> tuple[str, ...]:
    values = count.see(sheet.look(target, "MX")).values
    if len(values) > MOST_EXCHANGES:
        raise _Ended(Result.PERMERROR)
    return values


def _is_host_of(sheet: Sheet, host: str, term: Term, address: Address, count: _Count) -> bool:
    answer = sheet.look(host, "A" if address.version == 4 else "AAAA")
    # An exchange that has no address of this family is no void look-up of its own (4.6.4).
    if term.name == "a" or not answer.is_certain:
        count.see(answer)
    length = term.lengths[0 if address.version == 4 else 1]
    networks = (_network(f"{value}/{length}", address.version) for value in answer.values)
    return any(one is not None and _is_in(address, one) for one in networks)


def _is_in(address: Address, network: Network) -> bool:
    return address.version == network.version and address in network


# -- whether a provider may send -------------------------------------------------------------------


def networks_of(sheet: Sheet, domain: str) -> list[Network]:
    """The networks that a provider's own record (such as _spf.google.com) allows, at most 80."""
    found: list[Network] = []
    for record in _records_below(sheet, domain, set()):
        for term in record.mechanisms:
            if term.name in ("ip4", "ip6") and term.qualifier == "+":
                network = _network(term.value, 4 if term.name == "ip4" else 6)
                found += [network] if network is not None else []
    return found[:MOST_NETWORKS]


def _records_below(sheet: Sheet, domain: str, seen: set[str]) -> Iterator[Record]:
    seen.add(domain)
    for text in records_at(sheet.look(domain, "TXT"))[:1]:
        record = parse(text)
        yield record
        for term in record.terms:
            plain = term.name in ("include", "redirect") and not term.has_macro
            if plain and term.value not in seen and len(seen) < ENOUGH:
                yield from _records_below(sheet, term.value, seen)


def addresses_of(sheet: Sheet, host: str) -> list[Address]:
    """The addresses under which the world sees a host; none for one of an inner network."""
    is_address = _network(host, 6 if ":" in host else 4) is not None
    values = (host,) if is_address else _addresses(sheet, host).values
    known = [_network(one, 6 if ":" in one else 4) for one in values]
    found = [one[0] for one in known if one is not None]
    return [one for one in found if not any(_is_in(one, inner) for inner in INNER)]


def all_pass(sheet: Sheet, domain: str, addresses: list[Address]) -> Result:
    """What comes of mail from any of these addresses: the worst of it. UNSURE without any."""
    results = {evaluate(sheet, domain, one) for one in addresses}
    worst = (
        *(Result.TEMPERROR, Result.PERMERROR, Result.UNSURE, Result.FAIL, Result.SOFTFAIL),
        *(Result.NEUTRAL, Result.NONE, Result.PASS),
    )
    return next((one for one in worst if one in results), Result.UNSURE)


# -- putting it right ------------------------------------------------------------------------------


def with_terms(texts: list[str], wanted: list[str], without: Collection[str] = ()) -> str:
    """One record that has everything these had, and the wanted terms before its "all".

    Without any record before: a new one. Left out is what nobody can read, what stood behind "all",
    and the words in `without`. What allowed everybody ends with ~all.
    """
    records = [parse(text) for text in texts]
    ends = {one.all_qualifier for one in records}
    redirects = [one.redirect for one in records if one.redirect]
    if len(records) == 1 and redirects and not wanted and not without:
        return " ".join(["v=spf1", *(term.text for term in records[0].terms)])
    # A redirect only works without "all"; as an include its servers stay allowed.
    words = [term.text for one in records for term in _kept(one) if term.text not in without]
    words += [f"include:{term.value}" for term in redirects if term.text not in without]
    last = "-all" if ends == {"-"} else "~all"
    return " ".join(dict.fromkeys(["v=spf1", *words, *wanted, last]))


def _kept(record: Record) -> list[Term]:
    gone = [*record.after_all, *(term for term in record.terms if term.name in ("all", "redirect"))]
    return [term for term in record.terms if term not in gone]
