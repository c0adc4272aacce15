"""Query: what of OData's query options ($filter, $orderby, $top ...) a list of messages knows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from flask import request

from portal.sandbox.microsoft.errors import GraphError, bad_request
from portal.sandbox.microsoft.resource import EXPANDED, PROPERTIES

MOST = 1_000
USUAL = 10
COLUMNS = {
    "subject": "subject",
    "internetMessageId": "internet_id",
    "conversationId": "conversation_id",
    "createdDateTime": "created",
    "lastModifiedDateTime": "modified",
    "sentDateTime": "sent",
    "receivedDateTime": "received",
    "isDraft": "draft",
    "isRead": "read",
    "hasAttachments": "(attachments > 0)",
    "from/emailAddress/address": "sender",
}
TIMES = ("created", "modified", "sent", "received")
OPERATORS = {"eq": "=", "ne": "<>", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}
_COMPARED = re.compile(r"^(?P<path>[\w/]+)\s+(?P<op>\w+)\s+(?P<value>'(?:[^']|'')*'|\S+)$")
_STARTS = re.compile(r"^startswith\(\s*(?P<path>[\w/]+)\s*,\s*(?P<value>'(?:[^']|'')*')\s*\)$")
_ANY = re.compile(
    r"^singleValueExtendedProperties/any\(\s*(\w+)\s*:\s*\1/id\s+eq\s+('(?:[^']|'')*')\s+and\s+"
    r"\1/value\s+eq\s+('(?:[^']|'')*')\s*\)$",
    re.IGNORECASE,
)
_EXPANDS = re.compile(r"(\w+)(?:\((.*?\)?)\))?(?:,|$)")
_EXTENDED_ID = re.compile(r"id eq '([^']*)'")


@dataclass
class Query:
    where: str = "1"
    values: tuple[Any, ...] = ()
    order: str = "received DESC, seq DESC"
    top: int = USUAL
    skip: int = 0
    select: list[str] = field(default_factory=list)
    expand: dict[str, Any] = field(default_factory=dict)


def asked() -> Query:
    """What this request asks for; a refusal where Graph would refuse it."""
    query = Query(select=selected(), expand=_expand())
    query.top = _number("$top", USUAL)
    query.skip = _number("$skip", 0)
    if not 1 <= query.top <= MOST:
        raise bad_request(f"The limit of '{MOST}' for Top query has been exceeded.")
    clauses = list(_clauses(request.args.get("$filter", "")))
    if clauses:
        query.where = " AND ".join(sql for _, sql, _ in clauses)
        query.values = tuple(value for *_, values in clauses for value in values)
    if request.args.get("$orderby"):
        query.order = _order(request.args["$orderby"], [path for path, *_ in clauses])
    return query


def selected() -> list[str]:
    """The properties that are wanted; none where all that are usual are."""
    told = [name.strip() for name in request.args.get("$select", "").split(",") if name.strip()]
    for name in told:
        _known(name, name in PROPERTIES)
    return told


def _expand() -> dict[str, Any]:
    """The relations to bring along, with the ids of extended properties that are wanted."""
    wanted: dict[str, Any] = {}
    for name, options in _EXPANDS.findall(request.args.get("$expand", "")):
        _known(name, name in EXPANDED)
        wanted[name] = _EXTENDED_ID.findall(options)
    return wanted


def _known(name: str, known: bool) -> None:
    if not known:
        words = f"Could not find a property named '{name}' on type 'microsoft.graph.message'."
        raise bad_request(f"Parsing OData Select and Expand failed: {words}")


def _number(name: str, usual: int) -> int:
    value = request.args.get(name, str(usual))
    if not value.isdecimal():
        raise bad_request(f"Invalid value '{value}' for {name} query option found.")
    return int(value)


def _clauses(text: str) -> Iterator[tuple[str, str, tuple[Any, ...]]]:
    """Each part of a filter: the property it is about, its SQL, the values in it."""
    for clause in _split_at_and(text):
        if found := _ANY.match(clause):
            sql = (
                "EXISTS (SELECT 1 FROM json_each(extras, '$.singleValueExtendedProperties')"
                " WHERE key = ? AND value = ?)"
            )
            yield "singleValueExtendedProperties", sql, (_text(found[2]), _text(found[3]))
        elif found := _STARTS.match(clause):
            column, start = _column(found["path"]), _text(found["value"])
            yield found["path"], f"substr({column}, 1, ?) = ?", (len(start), start)
        elif (found := _COMPARED.match(clause)) and found["op"] in OPERATORS:
            column = _column(found["path"])
            value = _value(column, found["value"])
            # Times are shown, and so compared, in whole seconds.
            column = f"CAST({column} AS INTEGER)" if column in TIMES else column
            yield found["path"], f"{column} {OPERATORS[found['op']]} ?", (value,)
        else:
            raise bad_request(f"Invalid filter clause: {clause}")


def _split_at_and(text: str) -> list[str]:
    """At each "and" that stands neither in quotes nor in brackets."""
    parts, depth, quoted, start = [], 0, False, 0
    for place, letter in enumerate(text):
        quoted ^= letter == "'"
        depth += (letter == "(") - (letter == ")") if not quoted else 0
        if not quoted and not depth and text[place : place + 5].lower() == " and ":
            parts.append(text[start:place].strip())
            start = place + 5
    last = text[start:].strip()
    return [*parts, last] if last else parts


def _column(path: str) -> str:
    if path not in COLUMNS:
        raise bad_request(f"Invalid filter clause: '{path}' cannot be filtered by.")
    return COLUMNS[path]


def _value(column: str, literal: str) -> str | float | int:
    if literal.startswith("'"):
        return _text(literal)
    if literal in ("true", "false"):
        return int(literal == "true")
    if column in TIMES:
        return moment_of(literal)
    raise bad_request(f"Invalid filter clause: {literal}")


def moment_of(literal: str) -> float:
    try:
        moment = datetime.fromisoformat(literal.replace("Z", "+00:00"))
    except ValueError:
        raise bad_request(f"Invalid filter clause: {literal}") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _text(literal: str) -> str:
    return literal[1:-1].replace("''", "'")


def _order(text: str, filtered: list[str]) -> str:
    """Whatever orders a filtered list must stand in the filter too, first, in the same order."""
    terms = [term.split() for term in text.split(",")]
    paths = [term[0] for term in terms if term]
    if filtered and filtered[: len(paths)] != paths:
        words = "The restriction or sort order is too complex for this operation."
        raise GraphError(400, "InefficientFilter", words)
    sql = []
    for path, *direction in terms:
        descending = [one.lower() for one in direction] == ["desc"]
        sql.append(f"{_column(path)} {'DESC' if descending else 'ASC'}")
    return ", ".join([*sql, "seq DESC"])
