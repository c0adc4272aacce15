"""Wording: the words of the e-mail that carries a document, as the office wrote them.

A template is plain text with placeholders. It may ask `if`, and change letters, and nothing else:
no loops, no includes, no reach into anything but the placeholders listed here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache, lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from jinja2 import Environment as HtmlEnvironment
from jinja2 import FileSystemLoader, StrictUndefined, Template
from liquid import BoundTemplate, Environment
from liquid.exceptions import (
    BlockNestingError,
    LiquidError,
    LiquidSyntaxError,
    OutputStreamLimitError,
    UnknownFilterError,
)
from markupsafe import Markup, escape

from portal.documents import colour
from portal.documents.facts import DocumentFacts
from portal.documents.kinds import KINDS

PLACEHOLDERS: dict[str, str] = {
    "document_number": "Document number",
    "document_kind": "Kind of document",
    "title": "Title",
    "customer_name": "Name",
    "customer_first_name": "First name",
    "total": "Total",
    "due_date": "Due date",
    "site": "Site address",
    "property": "Property",
    "reference": "Reference",
    "account_manager": "Account manager",
    "branch": "Branch",
    "company_name": "Our company",
    "sender_name": "Sender's name",
}
"""What a template may name, and what the page calls it."""

MAX_TEMPLATE = 10_000
MAX_BRACES = 200
MAX_TEXT = 30_000
MAX_SUBJECT = 200

MAIL = Path(__file__).resolve().parents[2] / "templates" / "email"

_TAGS = frozenset({"if", "unless", "case", "comment", "#"})
_INTERNAL = frozenset({"content", "output", "illegal"})
_FILTERS = frozenset({"upcase", "downcase", "capitalize", "strip", "default"})
_HONORIFICS = frozenset({"mr", "mrs", "ms", "miss", "mx", "dr", "prof", "sir", "rev"})
_NO_PERSON = re.compile(r"[&/\d]|\b(pty|ltd|co|inc|llc|the|and|group|services)\b", re.IGNORECASE)
_LINK = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)
_HOST = re.compile(r"\w")
_TAG = re.compile(r"\{%-?\s*(\w+)")
_COSTLY = re.compile(r"\{[{%][^}]*(\.\.|\[)")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


class WordingProblem(ValueError):
    """A template that cannot be used. The message is the sentence to show beside the field."""


def default_subject(kind: str) -> str:
    return _shipped(kind, "subject.liquid")


def default_body(kind: str) -> str:
    return _shipped(kind, "body.liquid")


def default_signature() -> str:
    return (MAIL / "signature.liquid").read_text(encoding="utf-8").strip()


def letter(body: str, signature: str) -> str:
    """A message with its signature beneath, as it is mailed."""
    return "\n\n".join(part for part in (body.strip(), signature.strip()) if part)


def check(template: str) -> None:
    """Raise a WordingProblem unless every document could be mailed with this template."""
    _parse(template)


def render(template: str, facts: DocumentFacts, sender_name: str) -> str:
    """The template as plain text, its placeholders filled from the facts."""
    parsed = _parse(template)
    try:
        text = parsed.render(**values(facts, sender_name))
    except OutputStreamLimitError:
        raise WordingProblem(f"This comes out longer than {MAX_TEXT:,} characters.") from None
    except (LiquidError, ArithmeticError, TypeError, ValueError) as error:
        raise WordingProblem(_sentence(error)) from None
    return _tidy(text)


def render_subject(template: str, facts: DocumentFacts, sender_name: str) -> str:
    """One line, fit for a Subject header."""
    if "\n" in template.strip() or "\r" in template.strip():
        raise WordingProblem("The subject must be a single line.")
    subject = one_line(render(template, facts, sender_name))
    if not subject:
        raise WordingProblem("The subject comes out empty.")
    if len(subject) > MAX_SUBJECT:
        raise WordingProblem(
            f"The subject comes out at {len(subject)} characters; the most is {MAX_SUBJECT}."
        )
    return subject


def values(facts: DocumentFacts, sender_name: str) -> dict[str, str | None]:
    """What each placeholder stands for. None where the document has no such thing."""
    kind = KINDS[facts.kind]
    filled = {
        "document_number": facts.number,
        "document_kind": kind.noun,
        "title": facts.title,
        "customer_name": facts.party.name,
        "customer_first_name": first_name(facts.party.attention or facts.party.name),
        "total": facts.money(facts.total) if kind.priced else "",
        "due_date": facts.date(facts.due) if facts.due else "",
        "site": facts.site,
        "property": facts.property_name,
        "reference": facts.reference,
        "account_manager": facts.account_manager,
        "branch": facts.branch,
        "company_name": facts.company.name,
        "sender_name": sender_name.strip() or facts.company.name,
    }
    return {name: one_line(value) or None for name, value in filled.items()}


def first_name(name: str) -> str:
    """How to greet: "Mary" for Mary Lee, "Mrs Lee" for Mrs Lee, "Copper & Co" for Copper & Co."""
    words = name.split()
    if len(words) < 2 or len(words) > 3 or _NO_PERSON.search(name):
        return " ".join(words)
    if words[0].rstrip(".").lower() in _HONORIFICS:
        return f"{words[0]} {words[-1]}"
    return words[0]


def one_line(text: str) -> str:
    """No line break or control character survives, so nothing can add a header of its own."""
    return " ".join(_CONTROL.sub(" ", text).split())


def html_body(text: str, facts: DocumentFacts, sender_name: str) -> str:
    """The HTML twin of a plain-text body: the same words, and a card with the figures."""
    return _html().render(
        facts=facts,
        kind=KINDS[facts.kind],
        paragraphs=_paragraphs(text),
        rows=list(_card(facts)),
        sender_name=one_line(sender_name) or facts.company.name,
        website=_web_address(facts.company.website),
        colours=_colours(facts.company.accent),
    )


def plain_html(text: str, company_name: str) -> str:
    """The HTML twin of the portal's own word: the same paragraphs, and nothing more."""
    return (
        _html_environment()
        .get_template("notice.html")
        .render(paragraphs=_paragraphs(text), company_name=company_name)
    )


def _paragraphs(text: str) -> list[Markup]:
    return [_linked(part) for part in re.split(r"\n\s*\n", text.strip()) if part.strip()]


@lru_cache(maxsize=256)
def _parse(template: str) -> BoundTemplate:
    if len(template) > MAX_TEMPLATE:
        raise WordingProblem(f"This is longer than {MAX_TEMPLATE:,} characters.")
    _refuse_floods(template)
    _refuse_tags(template)
    try:
        parsed = _liquid().from_string(template)
        found = parsed.analyze(include_partials=False)
    except (LiquidError, ArithmeticError, RecursionError, TypeError, ValueError) as error:
        raise WordingProblem(_sentence(error)) from None
    for filter_name in found.filters:
        _refuse_filter(filter_name)
    for uses in found.variables.values():
        for use in uses:
            _refuse_placeholder(str(use))
    return parsed


def _refuse_floods(template: str) -> None:
    """What takes long to read or to compare, although no honest wording needs it."""
    if template.count("{{") + template.count("{%") > MAX_BRACES:
        raise WordingProblem(f"More than {MAX_BRACES} placeholders are too many.")
    if _COSTLY.search(template):
        raise WordingProblem("Ranges such as (1..9) and square brackets cannot be used here.")


def _refuse_tags(template: str) -> None:
    allowed = _TAGS | {"else", "elsif", "when"} | {f"end{tag}" for tag in _TAGS}
    for tag in _TAG.findall(template):
        if tag not in allowed:
            raise WordingProblem(
                f"{{% {tag} %}} cannot be used here; the wording may only ask {{% if %}}."
            )


def _refuse_filter(name: str) -> None:
    if name not in _FILTERS:
        raise WordingProblem(
            f"“{name}” after a bar is not known; use one of {', '.join(sorted(_FILTERS))}."
        )


def _refuse_placeholder(name: str) -> None:
    if name in PLACEHOLDERS:
        return
    near = get_close_matches(name.lower().replace(".", "_"), PLACEHOLDERS, n=1, cutoff=0.5)
    hint = f"did you mean {{{{ {near[0]} }}}}?" if near else "choose one from the list."
    raise WordingProblem(f"{{{{ {name[:60]} }}}} is not a placeholder; {hint}")


def _sentence(error: Exception) -> str:
    """Liquid's complaint in the words of somebody who never heard of Liquid."""
    match error:
        case UnknownFilterError():
            return f"That is an {error.message}; use one of {', '.join(sorted(_FILTERS))}."
        case BlockNestingError() | RecursionError():
            return "The {% if %} blocks are nested too deeply."
        case LiquidSyntaxError() if "end of file" in str(error) or "expected tag" in str(error):
            return "A {{ placeholder }} or {% if %} is opened but never closed."
        case _:
            return "A {{ placeholder }} or {% if %} is not written in a way that can be read."


class _PlainLiquid(Environment):
    block_nesting_limit = 8
    loop_iteration_limit = 0
    local_namespace_limit = 0
    output_stream_limit = MAX_TEXT


@cache
def _liquid() -> Environment:
    environment = _PlainLiquid(strict_filters=True)
    for tag in set(environment.tags) - _TAGS - _INTERNAL:
        del environment.tags[tag]
    return environment


@cache
def _html_environment() -> HtmlEnvironment:
    return HtmlEnvironment(
        loader=FileSystemLoader(MAIL),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _html() -> Template:
    return _html_environment().get_template("mail.html")


@cache
def _shipped(kind: str, name: str) -> str:
    return (MAIL / KINDS[kind].slug / name).read_text(encoding="utf-8").strip()


def _tidy(text: str) -> str:
    """What a skipped {% if %} leaves behind: trailing blanks and gaps of several lines."""
    lines = (_CONTROL.sub("", line).rstrip() for line in text.replace("\r\n", "\n").split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _linked(paragraph: str) -> Markup:
    lines = (Markup().join(_pieces(line.strip())) for line in paragraph.strip().split("\n"))
    return Markup("<br>\n").join(lines)


def _pieces(line: str) -> Iterator[Markup]:
    """The line cut at its web addresses, each one made a link."""
    end = 0
    for found in _LINK.finditer(line):
        address = _without_punctuation(found.group())
        if not _is_web(address):
            continue
        yield escape(line[end : found.start()])
        yield _anchor(address)
        end = found.start() + len(address)
    yield escape(line[end:])


def _anchor(address: str) -> Markup:
    return Markup('<a href="{0}" class="link">{0}</a>').format(address)


def _without_punctuation(address: str) -> str:
    """The full stop that ends the sentence, or the bracket around it, is not part of a link."""
    unopened = {one: address.count(one) - address.count(_OPENING[one]) for one in _OPENING}
    end = len(address)
    while address[end - 1] in ".,;:!?'*_" or unopened.get(address[end - 1], 0) > 0:
        end -= 1
        if address[end] in unopened:
            unopened[address[end]] -= 1
    return address[:end]


_OPENING = {")": "(", "]": "[", "}": "{"}


def _is_web(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return bool(_HOST.search(parts.hostname or "")) and parts.port != 0
    except ValueError:  # a port that is no number, a bracket that is never closed
        return False


def _web_address(website: str) -> str:
    """Where the company's website leads, or nothing when it is no web address."""
    website = website.strip()
    address = website if "://" in website else f"https://{website}"
    whole = _LINK.fullmatch(address)
    return address if website and whole and _is_web(address) else ""


def _card(facts: DocumentFacts) -> Iterator[tuple[str, str]]:
    """The figures a customer looks for first; nothing when there is but the number to show."""
    kind = KINDS[facts.kind]
    if kind.priced or (facts.due and kind.due_label):
        yield f"{kind.label}", facts.number
        if kind.priced:
            yield "Total", facts.money(facts.total)
        if facts.due and kind.due_label:
            yield kind.due_label, facts.date(facts.due)


def _colours(company_accent: str) -> dict[str, str]:
    accent = colour.accent(company_accent)
    return {
        "accent": accent,
        "link": colour.readable(accent),
        "link_dark": colour.readable(accent, "#1b232c"),
    }
